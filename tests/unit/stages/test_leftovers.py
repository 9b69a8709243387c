from dataclasses import replace

from tests.linux_guests import guest_os
from vmdk2kvm.fixes.catalog import FixOptions, chosen
from vmdk2kvm.fixes.engine import apply, plan
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.choices import CloudDatasource
from vmdk2kvm.model.guest_os import OsFamily
from vmdk2kvm.stages.leftovers import leftovers

FILES = {
    "/etc/fstab": ".host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults 0 0\n",
    "/etc/cloud/cloud.cfg": "datasource_list: [ VMware ]\n",
    "/usr/bin/vmtoolsd": "",
}
IDS = ["vmware-shared-folder", "vmware-tools-unknown-package", "cloud-init-vmware-datasource"]


def test_a_forecast_tells_what_vmware_leaves_until_it_is_gone() -> None:
    guest = MemoryGuest(FILES)
    os = guest_os(guest)
    assert [finding.id for finding in leftovers(guest, os)] == IDS
    for choice in (CloudDatasource.NONE, CloudDatasource.OPEN_STACK):
        options = FixOptions(remove_vmware_tools=True, cloud_init_datasource=choice)
        apply(plan(chosen(options), guest, os), guest, backup=False)
        assert [finding.id for finding in leftovers(guest, os)] == IDS[1:2]


def test_windows_is_looked_at_elsewhere() -> None:
    guest = MemoryGuest(FILES)
    assert list(leftovers(guest, replace(guest_os(guest), family=OsFamily.WINDOWS))) == []
