import pytest

from vmdk2kvm.formats.device_names import is_hostile, is_plain, link_path, stable_names, starts_hostile
from vmdk2kvm.model.guest_os import FileSystem

HOSTILE = [
    "/dev/sda",
    "/dev/sda1",
    "/dev/sdaa12",
    "/dev/hdb2",
    "/dev/vda",
    "/dev/xvdf1",
    "/dev/nvme0n1",
    "/dev/nvme0n1p2",
    "/dev/cciss/c0d0p1",
    "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1",
    "/dev/disk/by-id/scsi-36000c29abc-part1",
    "/dev/disk/by-id/wwn-0x6000c29abc",
    "/dev/disk/by-id/ata-VMware_Virtual_IDE_Hard_Drive_0001-part1",
    "/dev/disk/by-id/nvme-VMware_Virtual_NVMe_Disk",
    "/dev/disk/by-id/scsi-SVMware_Virtual_disk_1",
]
STABLE = [
    "UUID=1",
    "LABEL=x",
    "PARTUUID=1",
    "PARTLABEL=x",
    "/dev/disk/by-uuid/1",
    "/dev/disk/by-label/x",
    "/dev/disk/by-partuuid/1",
    "/dev/mapper/vg-root",
    "/dev/vg0/root",
    "/dev/md0",
    "/dev/md/array",
    "/dev/sr0",
    "/dev/cdrom",
    "/dev/fd0",
    "/dev/sd",
    "/dev/sda1x",
    "/dev/sdA",
    "/dev/disk/by-id/dm-name-x",
    "/dev/disk/by-id/scsi-3500a",
    "/dev/disk/by-path/",
    "nfs:/dev/sda1",
    "/swapfile",
    "tmpfs",
    "/dev/sda1/@home",
    "/dev/mmcblk0p1",
    "x/dev/sda1",
    "/dev/vdb_data/root",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_do_not_survive(name: str) -> None:
    assert is_hostile(name)
    assert starts_hostile(name)
    assert starts_hostile(f"{name}:cryptroot")
    assert not is_hostile(f"{name}\n")


@pytest.mark.parametrize("name", [*STABLE, "", "/dev/sda 1", "/dev/sda\n"])
def test_names_that_survive(name: str) -> None:
    assert not is_hostile(name)


def fs(device: str, **fields: str) -> FileSystem:
    return FileSystem(device=device, type=fields.pop("type", "ext4"), size_bytes=1, **fields)  # type: ignore[arg-type]


FULL = fs("/dev/sda1", uuid="u", partuuid="p", label="l", partlabel="pl")
ALL = ("UUID=u", "PARTUUID=p", "LABEL=l", "PARTLABEL=pl")


def test_the_order_of_names() -> None:
    assert stable_names(FULL, (FULL,)) == ALL
    assert stable_names(fs("/dev/sda1", label="l"), ()) == ("LABEL=l",)
    assert stable_names(fs("/dev/sda1", uuid=""), ()) == ()


@pytest.mark.parametrize("tag", ["uuid", "partuuid", "label", "partlabel"])
def test_a_name_that_two_share_is_none(tag: str) -> None:
    value = {"uuid": "u", "partuuid": "p", "label": "l", "partlabel": "pl"}[tag]
    other = fs("/dev/sdb1", **{tag: value})
    assert stable_names(FULL, (FULL, other)) == tuple(
        name for name in ALL if not name.startswith(f"{tag.upper()}=")
    )


def test_a_volume_found_under_two_names_is_the_same_once() -> None:
    assert stable_names(FULL, (FULL, FULL)) == ALL


def test_devices_of_one_btrfs_share_uuid_and_label() -> None:
    one = fs("/dev/sda1", type="btrfs", uuid="u", label="l", partuuid="p")
    other = fs("/dev/sdb1", type="btrfs", uuid="u", label="l", partuuid="q")
    stranger = fs("/dev/sdc1", type="btrfs", uuid="v", label="l")
    assert stable_names(one, (one, other)) == ("UUID=u", "PARTUUID=p", "LABEL=l")
    assert stable_names(one, (one, other, stranger)) == ("UUID=u", "PARTUUID=p")
    assert stable_names(one, (one, fs("/dev/sdb1", uuid="u"))) == ("PARTUUID=p", "LABEL=l")


def test_paths_of_names() -> None:
    assert [link_path(name) for name in ALL] == [
        "/dev/disk/by-uuid/u",
        "/dev/disk/by-partuuid/p",
        "/dev/disk/by-label/l",
        "/dev/disk/by-partlabel/pl",
    ]


def test_plain_names_need_no_quotes_anywhere() -> None:
    assert is_plain("UUID=3f1c2a4e-5b6d")
    assert not any(
        map(
            is_plain,
            ("", "LABEL=a b", "LABEL=$(x)", "LABEL=`x`", "LABEL=a\n", 'LABEL="', "LABEL=é", "LABEL=a\\b"),
        )
    )
