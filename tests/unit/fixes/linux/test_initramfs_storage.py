"""Settings of md and LVM that stand in an initramfs too: it is built anew once they are right."""

from dataclasses import replace

import pytest

from tests.initramfs_images import image
from tests.linux_guests import (
    ALL_MODULES,
    CRITICAL,
    MODULES_DEP,
    VERSION,
    VMWARE_ONLY,
    debian,
    guest_os,
    image_path,
    inspected_again,
)
from vmdk2kvm.fixes.engine import apply, plan
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.linux.lvm_devices import LVM_DEVICES_FIX
from vmdk2kvm.fixes.linux.mdadm_conf import MDADM_CONF_FIX
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.changes import Rebuild
from vmdk2kvm.model.guest_os import DeviceNames, FileSystem, GuestOs, InitramfsTool, RaidArray

FIXES = (MDADM_CONF_FIX, LVM_DEVICES_FIX, INITRAMFS_VIRTIO_FIX)
VOLUME = FileSystem(device="/dev/sda2", type="LVM2_member", size_bytes=1, uuid="aa-bb", disk=0, partition=2)
DEVICES = "VERSION=1.1.2\nIDTYPE=sys_wwid IDNAME=naa.6000c29f DEVNAME=. PVID=aabb PART=2\n"
FILTER = 'devices {\n filter = [ "a|^/dev/sda2$|", "r|.*|" ]\n}\n'
COMMENT = "# e.g. /dev/sda1 or /dev/disk/by-path/pci-1\n"
ARRAYS = "DEVICE /dev/sd[ab]1\nARRAY /dev/md0 UUID=1:2:3:4\n"


def guest_with(path: str, content: str) -> MemoryGuest:
    """Its image holds all drivers and a copy of the file."""
    return debian({path: content, image_path(): image(ALL_MODULES, {path.lstrip("/"): content.encode()})})


def os_of(guest: MemoryGuest, **more: object) -> GuestOs:
    names = DeviceNames(filesystems=(VOLUME,), by_name={VOLUME.device: VOLUME.device})
    return replace(guest_os(guest), names=names, **more)


@pytest.mark.parametrize("tool", [InitramfsTool.DRACUT, InitramfsTool.INITRAMFS_TOOLS])
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/lvm/devices/system.devices", DEVICES),
        ("/etc/lvm/lvm.conf", COMMENT + FILTER),
        ("/etc/mdadm/mdadm.conf", ARRAYS),
        ("/etc/mdadm.conf", ARRAYS),
    ],
)
def test_an_image_with_an_old_copy_is_built_anew(path: str, content: str, tool: InitramfsTool) -> None:
    guest = guest_with(path, content)
    os = os_of(guest, initramfs_tool=tool)
    found = plan(FIXES, guest, os)
    assert [item.change.kind for item in found.changes] == [
        "remove-file" if path.endswith("devices") else "write-file",
        "rebuild",
    ]
    apply(found, guest, backup=False)
    assert plan(FIXES, guest, inspected_again(guest, os)).changes == ()


def test_an_old_copy_of_a_file_that_stays_is_no_reason() -> None:
    guest = guest_with("/etc/lvm/lvm.conf", FILTER)
    assert plan([INITRAMFS_VIRTIO_FIX], guest, os_of(guest)).changes == ()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/lvm/lvm.conf", COMMENT),
        ("/etc/lvm/devices/system.devices", DEVICES.replace("sys_wwid", "md_uuid")),
        ("/etc/mdadm/mdadm.conf", COMMENT + "DEVICE partitions\n"),
    ],
)
def test_a_right_copy_is_no_reason(path: str, content: str) -> None:
    guest = guest_with(path, content)
    assert plan(FIXES, guest, os_of(guest)).changes == ()


def test_what_starts_arrays_and_volumes_has_to_stay_in_the_image() -> None:
    held = (*VMWARE_ONLY, "raid1", "raid456", "dm_mod")
    more = "".join(f"kernel/drivers/md/{name}.ko:\n" for name in ("raid1", "raid456", "dm-mod"))
    guest = debian({image_path(): image(held), f"/lib/modules/{VERSION}/modules.dep": MODULES_DEP + more})
    os = guest_os(guest, available=frozenset({*ALL_MODULES, "raid1", "raid456", "dm_mod"}))
    array = RaidArray(uuid="u", name="h:0", level="raid1", device="/dev/md0")
    for stacked, needed in (
        (os, set()),
        (replace(os, raids=(array,)), {"raid1"}),
        (replace(os, raids=(array, replace(array, level="raid5")), lvm=True), {"raid1", "raid456", "dm_mod"}),
        (replace(os, raids=(replace(array, level="container"),)), set()),
    ):
        (rebuild,) = [
            item.change
            for item in plan([INITRAMFS_VIRTIO_FIX], guest, stacked).changes
            if isinstance(item.change, Rebuild)
        ]
        assert rebuild.must_hold == CRITICAL | needed
