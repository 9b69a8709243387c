"""Disks that did not come along: arrays that lack a member, and entries that have no disk."""

from dataclasses import replace

import pytest

from tests.linux_guests import guest_os
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.guest_os import DeviceNames, FileSystem, RaidArray
from vmdk2kvm.model.luks import LuksVolume
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.stages.storage import storage

ROOT = FileSystem(
    device="/dev/sda1", type="ext4", size_bytes=1, uuid="aaaa-0001", label="the root", disk=0, partition=1
)
VOLUME = FileSystem(device="/dev/vg0/home", type="xfs", size_bytes=1, uuid="aaaa-0002")
KEY = FileSystem(device="/dev/sda3", type="", size_bytes=1, partuuid="bbbb-03", disk=0, partition=3)
NAMES = DeviceNames(
    filesystems=(ROOT, VOLUME),
    bare=(KEY,),
    by_name={
        "/dev/sda1": "/dev/sda1",
        "/dev/sda3": "/dev/sda3",
        "/dev/mapper/vg0-home": "/dev/vg0/home",
        "/dev/vg0/home": "/dev/vg0/home",
    },
)


def findings(
    fstab: str = "", *, locked: bool = False, raids: tuple[RaidArray, ...] = (), **files: str
) -> list[Finding]:
    guest = MemoryGuest(files)
    luks = (LuksVolume(device="/dev/sda2", header=None),) if locked else ()
    os = replace(guest_os(guest), names=NAMES, fstab=fstab, raids=raids, luks=luks)
    return list(storage(guest, os))


@pytest.mark.parametrize(
    "line",
    [
        "UUID=AAAA-0001 / ext4",
        "LABEL=the\\040root / ext4",
        "/dev/disk/by-label/the\\134x20root / ext4",
        "PARTUUID=bbbb-03 none swap",
        "/dev/disk/by-id/scsi-36000c29-part1 / ext4",  # another finding's
        "/dev/sda1 / ext4",
        "/dev/sda9 /x ext4",  # a disk that is here lacks that partition: another finding's
        "/dev/mapper/vg0-home /home xfs",
        "/dev/vg0/home /home xfs",
        "/dev/sr0 /cd iso9660 noauto",
        "/dev/cdrom/x /cd udf noauto",
        "/dev/zram0 none swap",
        "/dev/drbd/x /x ext4",
        "/swapfile none swap sw",
        "tmpfs /tmp tmpfs",
        "server:/x /x nfs",
        "//server/x /x cifs",
        "LABEL=lun /x ext4 _netdev",
        "/var/disk.img /x ext4 loop",
    ],
)
def test_entries_that_have_their_disk_or_need_none(line: str) -> None:
    assert findings(line) == []


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("UUID=other /data ext4 defaults", Level.ERROR),
        ("LABEL=data /data ext4", Level.ERROR),
        ("PARTUUID=bbbb-04 /data ext4 nofail", Level.INFO),
        ("/dev/disk/by-uuid/other /data ext4 noauto", Level.INFO),
        ("/dev/sdb1 /data ext4", Level.ERROR),
        ("/dev/sdaa1 /data ext4", Level.ERROR),
        ("/dev/mapper/vg1-data /data ext4", Level.ERROR),
        ("/dev/vg1/data /data ext4", Level.ERROR),
        ("/dev/md0 /data ext4", Level.ERROR),
        ("/dev/md/data /data ext4", Level.ERROR),
        ("UUID=other none swap sw", Level.WARNING),
    ],
)
def test_entries_without_a_disk(line: str, level: Level) -> None:
    (found,) = findings(f"# a comment\n{line}\n")
    assert (found.id, found.level) == ("disk-left-behind", level)
    assert f'"{line.split()[0]}"' in found.message
    assert found.message.startswith('line 2 of "/etc/fstab" ')
    assert '"nofail"' in found.remedy


def test_what_crypttab_opens_is_told_once() -> None:
    crypttab = "data UUID=other none luks\nswap /dev/sda3 /dev/urandom swap\n"
    fstab = "/dev/mapper/data /data ext4\n/dev/mapper/swap none swap\n"
    (found,) = findings(fstab, **{"/etc/crypttab": crypttab})
    assert found.message == '"/etc/crypttab" opens "data" from "UUID=other", which is on no disk given.'
    assert found.level is Level.ERROR


def test_units() -> None:
    unit = "[Mount]\nWhat=/dev/disk/by-uuid/{}\nWhere=/srv\n"
    (found,) = findings(
        **{
            "/etc/systemd/system/srv.mount": unit.format("other"),
            "/etc/systemd/system/home.mount": unit.format("aaaa-0001"),
        }
    )
    assert (found.id, found.level) == ("disk-left-behind", Level.WARNING)
    assert '"/etc/systemd/system/srv.mount"' in found.message
    assert 'systemctl disable "srv.mount"' in found.remedy


def test_a_locked_volume_may_hold_it() -> None:
    (found,) = findings("UUID=other /data ext4", locked=True)
    assert found.level is Level.WARNING
    assert "unless it lies on the volume that stayed locked" in found.message


def test_settings_that_name_vmwares_disks() -> None:
    volume = FileSystem(device="/dev/sda4", type="LVM2_member", size_bytes=1, uuid="a-b", disk=0, partition=4)
    files = {
        "/etc/lvm/devices/system.devices": "IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda4 PVID=ab\n",
        "/etc/lvm/lvm.conf": 'devices { filter = [ "a|sda|", "r|.*|" ] }\n',
        "/etc/mdadm/mdadm.conf": "DEVICE /dev/sda1\n",
        "/etc/systemd/system/srv.mount": "[Mount]\nWhat=/dev/sda1\nWhere=/srv\n",
    }
    guest = MemoryGuest({**files, "/etc/mdadm.conf": "DEVICE partitions\n"})
    names = DeviceNames(filesystems=(ROOT, volume), by_name={"/dev/sda1": "/dev/sda1"})
    found = list(storage(guest, replace(guest_os(guest), names=names)))
    assert [each.id for each in found] == ["storage-vmware-names"] * 4
    assert [each.message.split('"')[1] for each in found] == list(files)


def test_findings_are_bounded_and_escaped() -> None:
    found = findings("".join(f"UUID=x\x1b{n} /x{n} ext4\n" for n in range(3000)))
    assert len(found) == 21
    assert "2980 more entries" in found[-1].message
    assert all("\x1b" not in each.message for each in found)


def test_an_array_that_lacks_a_member() -> None:
    array = RaidArray(uuid="u", name="h:0", level="raid1", member_count=2, missing_count=1, device="/dev/md0")
    (found,) = findings(raids=(array,))
    assert (found.id, found.level) == ("raid-member-missing", Level.WARNING)
    assert 'the array "/dev/md0" (raid1) runs on 1 of its 2 disks' in found.message
    assert findings(raids=(replace(array, missing_count=0),)) == []


def test_an_array_that_cannot_be_started() -> None:
    (found,) = findings(raids=(RaidArray(uuid="u", name="h:data"),))
    assert (found.id, found.level) == ("raid-array-incomplete", Level.ERROR)
    assert '"h:data"' in found.message
