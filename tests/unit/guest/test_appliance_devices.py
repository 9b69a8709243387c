"""The appliance's answer, as util-linux 2.38 in a Debian 12 appliance gives it."""

import pytest

from vmdk2kvm.guest.appliance_devices import disk_name, parse
from vmdk2kvm.guest.protocol import BlockKind

TEXT = """\
@dm-0
size=819200
parent=block
dm_name=v--g-ro--ot
dm_uuid=LVM-PcyZkLBs9vUmVTXcVVYAV5nJUDo9qoDwAbCdEfGhIjKlMnOpQrStUvWxYz012345
@dm-1
size=8
parent=block
dm_name=v--g-pool_tmeta
dm_uuid=LVM-PcyZkLBs9vUmVTXcVVYAV5nJUDo9qoDwAbCdEfGhIjKlMnOpQrStUvWxYz012345-tmeta
@dm-2
size=16
parent=block
dm_name=secret
dm_uuid=CRYPT-LUKS2-0123
@md127
size=2048
parent=block
md_alias=/dev/md/data
@sda
size=8388608
parent=block
scsi=2:0:2:0
boot_code=00 00
@sdb
size=2048000
parent=block
scsi=2:0:0:0
boot_code=eb 63 90
@sdb1
size=204800
parent=sdb
partition=1
@sdc
size=4096
parent=block
scsi=2:0:1:0
boot_code=00
DEVNAME=/dev/sda
TYPE=ext2

DEVNAME=/dev/sdb
PTUUID=3f9b7d88
PTTYPE=gpt

DEVNAME=/dev/sdb1
UUID=931B-0144
LABEL=A\\ B\\\\\\x0a\\xc3\\xa9
TYPE=vfat
PART_ENTRY_UUID=bd792dd7-93c5-5144-b006-dd90a8bcfdba
PART_ENTRY_NAME=EFI\\ System
PART_ENTRY_TYPE=C12A7328-f81f-11d2-ba4b-00a0c93ec93b

DEVNAME=/dev/dm-0
TYPE=xfs
UUID=d49eaf65-7b94-4f75-98b4-fae08d30f143
"""


def test_devices_by_their_place() -> None:
    found = parse(TEXT, 2)
    assert {inner: device.device for inner, device in found.items()} == {
        "/dev/sdb": "/dev/sda",
        "/dev/sdb1": "/dev/sda1",
        "/dev/sdc": "/dev/sdb",
        "/dev/md127": "/dev/md127",
        "/dev/dm-2": "/dev/mapper/secret",
        "/dev/dm-0": "/dev/v-g/ro-ot",
    }
    assert next(iter(found)) == "/dev/sdb"  # disks come first, in their order


def test_facts() -> None:
    devices = {device.device: device for device in parse(TEXT, 2).values()}
    disk, esp, volume = devices["/dev/sda"], devices["/dev/sda1"], devices["/dev/v-g/ro-ot"]
    assert (disk.kind, disk.table, disk.boot_code) == (BlockKind.DISK, "gpt", b"\xebc\x90")
    assert (esp.kind, esp.disk, esp.partition, esp.size_bytes) == (BlockKind.PARTITION, 0, 1, 204800 * 512)
    assert (esp.content, esp.uuid, esp.label) == ("vfat", "931B-0144", "A B\\\né")
    assert (esp.partlabel, esp.part_type) == ("EFI System", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
    assert (volume.kind, volume.aliases, volume.content) == (
        BlockKind.LVM,
        ("/dev/mapper/v--g-ro--ot",),
        "xfs",
    )
    assert devices["/dev/md127"].aliases == ("/dev/md/data",)


@pytest.mark.parametrize(
    ("index", "name"), [(0, "sda"), (25, "sdz"), (26, "sdaa"), (701, "sdzz"), (702, "sdaaa")]
)
def test_disk_names(index: int, name: str) -> None:
    assert disk_name(index) == f"/dev/{name}"


def test_a_label_adds_no_facts() -> None:
    hostile = TEXT.replace("LABEL=A", "LABEL=\\x0aTYPE=swap\\x0aDEVNAME=/dev/sdc\\x0aA")
    assert {each.device: each.content for each in parse(hostile, 2).values()} == {
        each.device: each.content for each in parse(TEXT, 2).values()
    }


def test_the_inside_of_an_open_luks_volume_knows_its_container() -> None:
    text = (
        "@dm-0\nsize=2048\nparent=block\ndm_name=luks-x\n"
        "dm_uuid=CRYPT-LUKS2-11111111222233334444555555555555-luks-x\n"
        "@dm-1\nsize=8\nparent=block\ndm_name=plain\ndm_uuid=CRYPT-PLAIN-plain\n"
        "\nDEVNAME=/dev/dm-0\nTYPE=ext4\n"
    )
    inside, other = parse(text, 1).values()
    assert (inside.device, inside.kind, inside.content) == ("/dev/mapper/luks-x", BlockKind.CRYPT, "ext4")
    assert inside.luks_uuid == "11111111-2222-3333-4444-555555555555"
    assert (other.device, other.kind, other.luks_uuid) == ("/dev/mapper/plain", BlockKind.OTHER, None)
