"""Arrays of md(4): names of the guest's own mdadm.conf, and what is known of each."""

from dataclasses import replace

import pytest

from tests.memory_session import MemorySession, disk, partition
from vmdk2kvm.formats.mdadm_conf import arrays
from vmdk2kvm.guest.inspection import inspect, inspect_again
from vmdk2kvm.guest.inspection_names import SourceNames
from vmdk2kvm.guest.inspection_raid import raids, with_configured_names
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind
from vmdk2kvm.model.guest_os import RaidArray

ONE = "00000000-0000-0000-0000-00000000000a"
OTHER = "00000000-0000-0000-0000-00000000000b"
IDENTITY = "UUID=00000000:00000000:00000000:0000000a"


def array(device: str, uuid: str, name: str, content: str | None = "ext4", *aliases: str) -> BlockDevice:
    return BlockDevice(
        device=device,
        kind=BlockKind.MD,
        size_bytes=1 << 30,
        aliases=aliases,
        content=content,
        uuid=f"fs-{uuid[-1]}",
        raid=RaidArray(uuid=uuid, name=name, level="raid1", member_count=2),
    )


ROOT = array("/dev/md0", ONE, "h:0", "ext4", "/dev/md/0")
DATA = array("/dev/md/data", OTHER, "h:data")


def found(name: str, configuration: str, *devices: BlockDevice) -> str | None:
    named = with_configured_names(devices or (ROOT, DATA), arrays(configuration))
    device = SourceNames(named).find(name)
    return device.device if device else None


@pytest.mark.parametrize(
    ("configuration", "name", "device"),
    [
        ("", "/dev/md0", "/dev/md0"),
        ("", "/dev/md/0", "/dev/md0"),
        ("", "/dev/md/data", "/dev/md/data"),
        ("", "/dev/md1", None),
        ("", "/dev/md127", None),  # of two arrays, nobody knows which
        (f"ARRAY /dev/md7 {IDENTITY}", "/dev/md7", "/dev/md0"),
        (f"ARRAY /dev/md7 {IDENTITY}", "/dev/md/7", "/dev/md0"),
        (f"ARRAY /dev/md7 {IDENTITY}", "/dev/md/0", "/dev/md0"),
        (f"ARRAY root {IDENTITY}", "/dev/md/root", "/dev/md0"),
        ("ARRAY /dev/md/swap name=h:data", "/dev/md/swap", "/dev/md/data"),
        (f"ARRAY /dev/md/data {IDENTITY}", "/dev/md/data", "/dev/md0"),  # the file decides
        ("ARRAY /dev/md7 UUID=1:2:3:4", "/dev/md7", None),
        ("ARRAY /dev/md7", "/dev/md7", None),
    ],
)
def test_names(configuration: str, name: str, device: str | None) -> None:
    assert found(name, configuration) == device


def test_a_number_counted_down_means_the_only_array() -> None:
    assert found("/dev/md127", "", ROOT) == "/dev/md0"
    assert found("/dev/md127", "ARRAY /dev/md127 name=h:data") == "/dev/md/data"


def test_what_is_known_of_each_array() -> None:
    idle = replace(DATA, size_bytes=0)
    members = [
        partition("/dev/sda1", "linux_raid_member", ONE, label="h:0"),
        partition("/dev/sda2", "linux_raid_member", "alone", label="h:2"),
        partition("/dev/sdb2", "linux_raid_member", "alone", label="h:2"),
    ]
    assert raids([ROOT, idle, *members]) == (
        replace(ROOT.raid, device="/dev/md0"),
        DATA.raid,
        RaidArray(uuid="alone", name="h:2"),
    )


def test_a_guest_on_an_array_is_mounted_by_its_own_names() -> None:
    files = {
        "/etc/os-release": "ID=debian\n",
        "/usr/bin/sh": b"",
        "/etc/fstab": "/dev/md7 / ext4\n/dev/md/data /srv ext4\n",
        "/etc/mdadm/mdadm.conf": f"ARRAY /dev/md7 {IDENTITY}\n",
        "/srv/x": b"",
    }
    devices = [disk("/dev/sda", 0), partition("/dev/sda1", "linux_raid_member", ONE), ROOT, DATA]
    session = MemorySession(devices, {"/dev/md0": files, "/dev/md/data": {"/d": b""}})
    os = inspect(session)
    assert [(each.device, each.mountpoint) for each in os.mounts] == [
        ("/dev/md0", "/"),
        ("/dev/md/data", "/srv"),
    ]
    root = os.names.resolve("/dev/md7")
    assert root and root.uuid == "fs-a"
    assert [each.device for each in os.raids] == ["/dev/md0", "/dev/md/data"]
    assert inspect_again(session, os) == os
