"""The appliance's answer, as util-linux 2.38 in a Debian 12 appliance gives it."""

import pytest

from vmdk2kvm.guest.appliance_devices import disk_name, parse
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind
from vmdk2kvm.model.guest_os import RaidArray

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
md_level=raid1
md_raid_disks=2
md_degraded=1
md_metadata_version=1.2
md_member=sdc
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

DEVNAME=/dev/sdc
UUID=8f9a3c1e-0000-1111-2222-333344445555
LABEL=old-host:data
TYPE=linux_raid_member

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
        "/dev/md127": "/dev/md/data",
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


def arrays(text: str = TEXT, disks: int = 2) -> dict[str, BlockDevice]:
    return {inner: each for inner, each in parse(text, disks).items() if each.kind is BlockKind.MD}


def test_an_array_goes_by_the_names_the_guest_gives_it() -> None:
    array = arrays()["/dev/md127"]
    assert (array.device, array.kind, array.disk) == ("/dev/md/data", BlockKind.MD, None)
    assert array.aliases == (
        "/dev/md/old-host:data",
        "/dev/disk/by-id/md-name-old-host:data",
        "/dev/disk/by-id/md-uuid-8f9a3c1e:00001111:22223333:44445555",
    )
    assert array.raid == RaidArray(
        uuid="8f9a3c1e-0000-1111-2222-333344445555",
        name="old-host:data",
        level="raid1",
        member_count=2,
        missing_count=1,
    )


def test_an_array_with_a_number_and_its_partition() -> None:
    part = "@md127p2\nsize=8\nparent=md127\npartition=2\n@sda\n"
    found = arrays(TEXT.replace("@sda\n", part, 1).replace("old-host:data", "h:0"))
    assert (found["/dev/md127"].device, found["/dev/md127"].aliases[0]) == ("/dev/md0", "/dev/md/0")
    assert (found["/dev/md127p2"].device, found["/dev/md127p2"].raid) == ("/dev/md0p2", None)
    assert "/dev/disk/by-id/md-name-h:0-part2" in found["/dev/md127p2"].aliases


def test_an_array_of_old_metadata_has_a_number_only() -> None:
    text = TEXT.replace("LABEL=old-host:data\n", "").replace("md_member=sdc", "md_member=sdc\nmd_minor=3")
    found = arrays(text)["/dev/md127"]
    assert (found.device, found.aliases[0]) == ("/dev/md3", "/dev/md/3")


def test_arrays_of_one_name_go_by_what_tells_them_apart() -> None:
    more = (
        "@md126\nsize=8\nparent=block\nmd_level=raid1\nmd_member=sdb1\n@md127\n",
        "TYPE=linux_raid_member\nLABEL=old-host:data\nUUID=00000000-0000-0000-0000-000000000001\n",
    )
    text = TEXT.replace("@md127\n", more[0], 1).replace("UUID=931B-0144\n", more[1])
    text = text.replace("LABEL=A\\ B\\\\\\x0a\\xc3\\xa9\nTYPE=vfat\n", "")
    assert [(each.device, each.aliases) for each in arrays(text).values()] == [
        ("/dev/disk/by-id/md-uuid-00000000:00000000:00000000:00000001", ()),
        ("/dev/disk/by-id/md-uuid-8f9a3c1e:00001111:22223333:44445555", ()),
    ]


def test_an_array_nobody_knows_a_name_of() -> None:
    text = TEXT.replace("md_member=sdc\n", "")
    assert arrays(text)["/dev/md127"].device == "/dev/md127"


def test_an_array_of_other_disks_is_left_out() -> None:
    assert arrays(disks=1) == {}
