"""Guests whose root lies on more than one disk, opened with all of them and with one alone.

Built in one appliance, which is closed again: what matters is how the next one starts arrays and groups.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.appliance.test_offline_guest import boot, system
from tests.offline_guests import fill, shelf
from vmdk2kvm.errors import NoOperatingSystem
from vmdk2kvm.fixes.engine import apply, plan
from vmdk2kvm.fixes.linux.lvm_devices import LVM_DEVICES_FIX
from vmdk2kvm.fixes.linux.mdadm_conf import MDADM_CONF_FIX
from vmdk2kvm.guest.memory import Folder
from vmdk2kvm.guest.offline import open_guest
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.report import Level
from vmdk2kvm.stages import inspect
from vmdk2kvm.tools.accelerator import probe

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1200)]

# The numbers the building appliance uses are not those in the superblocks.
MIRROR = """
    for disk in $A $B; do printf 'label: dos\\n,220M,fd,*\\n,,fd\\n' | sfdisk -q $disk; done
    udevadm settle
    mdadm --create /dev/md10 --run --homehost=old --name=0 --level=1 --raid-devices=2 ${A}1 ${B}1
    mdadm --create /dev/md11 --run --homehost=old --name=data --level=1 --raid-devices=2 ${A}2 ${B}2
    mkfs.ext4 -q /dev/md10
    pvcreate -q /dev/md11; vgcreate -q onraid /dev/md11; lvcreate -qy -n srv -l 100%FREE onraid
    mkfs.ext4 -q /dev/onraid/srv
"""
GROUP = """
    printf 'label: gpt\\n,200M,V\\n' | sfdisk -q $A; udevadm settle
    pvcreate -q ${A}1 $B; vgcreate -q two ${A}1 $B
    lvcreate -qy -n root -L 300M two; lvcreate -qy -n home -L 40M two
    mkfs.ext4 -q /dev/two/root; mkfs.ext4 -q /dev/two/home
"""
FSTAB = "/dev/md0 / ext4 defaults 0 1\n/dev/mapper/onraid-srv /srv ext4 defaults 0 2\n"
MDADM_CONF = "DEVICE /dev/sda* /dev/sdb*\nARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1\n"
LVM_CONF = 'devices {\n    filter = [ "a|^/dev/sd[ab].*|", "r|.*|" ]\n}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """disk0 and disk1 are mirrored, disk2 and disk3 one volume group."""
    place = tmp_path_factory.mktemp("disks")
    with shelf((400,) * 4, place) as disks:
        with disks.guest(MIRROR, disks=2, groups=["onraid"]) as session:
            session.mount("/dev/md0", "/")
            fill(session, {**system(FSTAB), **boot(), "/etc/mdadm/mdadm.conf": MDADM_CONF, "/srv": Folder()})
        with disks.guest(GROUP, disks=2, groups=["two"]) as session:
            session.mount("/dev/two/root", "/")
            fstab = "/dev/mapper/two-root / ext4\n/dev/two/home /home ext4\n"
            fill(session, {**system(fstab), **boot(), "/etc/lvm/lvm.conf": LVM_CONF})
    return place


@contextmanager
def opened(folder: Path, *disks: int) -> Iterator[OfflineGuest]:
    overlays = [folder / f"disk{number}.qcow2" for number in disks]
    with open_guest(overlays, scratch=folder, accelerator=probe(), memory_mib=1024) as session:
        yield session


def test_a_mirror_of_two_disks(folder: Path) -> None:
    with opened(folder, 0, 1) as session:
        found = inspect.with_forecast(session, inspect.run(session))
        os = found.os
        assert [(each.device, each.mountpoint) for each in os.mounts] == [
            ("/dev/md0", "/"),
            ("/dev/onraid/srv", "/srv"),
        ]
        assert sorted((each.device, each.name, each.level, each.missing_count) for each in os.raids) == [
            ("/dev/md/data", "old:data", "raid1", 0),
            ("/dev/md0", "old:0", "raid1", 0),
        ]
        assert {each.id for each in found.findings} & {"disk-left-behind", "raid-member-missing"} == set()
        changes = plan([MDADM_CONF_FIX], session, os)
        apply(changes, session, backup=False)
        (uuid,) = {each.uuid for each in os.raids if each.device == "/dev/md0"}
        text = session.read_text("/etc/mdadm/mdadm.conf")
        assert text.startswith("DEVICE partitions\nARRAY /dev/md0 UUID=")
        said = session._appliance.shell("mdadm --examine --scan").text.lower()
        assert text.rpartition("UUID=")[2].strip() in said
        assert uuid is not None
        again = inspect.run_again(session, os)
        assert plan([MDADM_CONF_FIX], session, again).changes == ()
        assert session._appliance.shell("cat /sys/block/md*/md/sync_action").text.split() == ["frozen"] * 2


def test_one_disk_of_a_mirror(folder: Path) -> None:
    with opened(folder, 0) as session:
        found = inspect.with_forecast(session, inspect.run(session))
        assert {each.mountpoint: each.device for each in found.os.mounts} == {
            "/": "/dev/md0",
            "/srv": "/dev/onraid/srv",
        }
        missing = [each for each in found.findings if each.id == "raid-member-missing"]
        assert [each.level for each in missing] == [Level.WARNING] * 2
        assert all("runs on 1 of its 2 disks" in each.message for each in missing)


def test_a_volume_group_over_two_disks(folder: Path) -> None:
    with opened(folder, 2, 3) as session:
        os = inspect.run(session).os
        assert [(each.device, each.mountpoint) for each in os.mounts] == [
            ("/dev/two/root", "/"),
            ("/dev/two/home", "/home"),
        ]
        assert sorted(each.device for each in os.names.filesystems if each.type == "LVM2_member") == [
            "/dev/sda1",
            "/dev/sdb",
        ]
        apply(plan([LVM_DEVICES_FIX], session, os), session, backup=False)
        text = session.read_text("/etc/lvm/lvm.conf")
        assert text == LVM_CONF.replace('[ "a', '[ "a|^/dev/vd[ab].*|", "a', 1)
        taken = session._appliance.shell(
            "mkdir /run/lvm-new && cp /sysroot/etc/lvm/lvm.conf /run/lvm-new/ && "
            "LVM_SYSTEM_DIR=/run/lvm-new lvm dumpconfig devices/filter"
        )
        assert "vd[ab]" in taken.text


def test_half_of_a_volume_group_holds_no_system(folder: Path) -> None:
    with opened(folder, 2) as session, pytest.raises(NoOperatingSystem):
        inspect.run(session)
