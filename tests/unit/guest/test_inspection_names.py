import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.guest.appliance_devices import disk_name
from vmdk2kvm.guest.inspection_names import SourceNames, device_names, names_in
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind

PVSCSI = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:{target}:0"


def machine(disks: int, partitions: int = 2) -> tuple[BlockDevice, ...]:
    found = []
    for disk in range(disks):
        whole = BlockDevice(device=disk_name(disk), kind=BlockKind.DISK, size_bytes=1, disk=disk)
        parts = (
            replace(
                whole,
                device=f"{disk_name(disk)}{number}",
                kind=BlockKind.PARTITION,
                partition=number,
                content="ext4",
                uuid=f"uuid-{disk}-{number}",
                partuuid=f"ABC-{disk}-{number}",
            )
            for number in range(1, partitions + 1)
        )
        found += [whole, *parts]
    volume = BlockDevice(
        device="/dev/vg0/root",
        kind=BlockKind.LVM,
        size_bytes=1,
        aliases=("/dev/mapper/vg0-root",),
        content="xfs",
        label="the root",
    )
    return (*found, volume)


def found(name: str, devices: tuple[BlockDevice, ...], seen: tuple[str, ...] = ()) -> str | None:
    device = SourceNames(devices, seen).find(name)
    return device.device if device else None


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("/dev/sda1", "/dev/sda1"),
        ("/dev/sdb2", "/dev/sdb2"),
        ("/dev/hda1", "/dev/sda1"),
        ("/dev/vdb1", "/dev/sdb1"),
        ("/dev/xvda2", "/dev/sda2"),
        ("/dev/nvme0n1p2", "/dev/sda2"),
        ("/dev/nvme0n2p1", "/dev/sdb1"),  # VMware: one controller, a namespace for each disk
        ("/dev/nvme1n1p1", "/dev/sdb1"),
        ("/dev/nvme1n2p1", None),
        ("/dev/cciss/c0d1p1", "/dev/sdb1"),
        ("/dev/sda3", None),
        ("/dev/sdc1", None),
        ("/dev/sdaa1", None),
        ("UUID=uuid-1-2", "/dev/sdb2"),
        ('UUID="uuid-1-2"', "/dev/sdb2"),
        ("PARTUUID=abc-0-1", "/dev/sda1"),
        ("/dev/disk/by-uuid/uuid-0-2", "/dev/sda2"),
        ("/dev/disk/by-label/the\\x20root", "/dev/vg0/root"),
        ("LABEL=the root", "/dev/vg0/root"),
        ("LABEL=none", None),
        ("UUID=", None),
        ("/dev/vg0/root", "/dev/vg0/root"),
        ("/dev/mapper/vg0-root", "/dev/vg0/root"),
        ("/dev/disk/by-id/dm-name-vg0-root", "/dev/vg0/root"),
        ("/dev/mapper/none", None),
        ("tmpfs", None),
        ("//server/share", None),
    ],
)
def test_names_on_two_disks(name: str, device: str | None) -> None:
    assert found(name, machine(2)) == device


@pytest.mark.parametrize(
    "name",
    [
        PVSCSI.format(target=3) + "-part2",
        "/dev/disk/by-path/pci-0000:02:01.0-ata-1-part2",
        "/dev/disk/by-path/unheard-of-part2",
        "/dev/disk/by-id/scsi-36000c29ab-part2",
        "/dev/disk/by-id/ata-VMware_Virtual_SATA_0001-part2",
    ],
)
def test_a_name_that_stands_alone_means_the_only_disk(name: str) -> None:
    assert found(name, machine(1)) == "/dev/sda2"


BY_ID = "/dev/disk/by-id/"
SERIAL = "6000c29ab1c2d3e4f5061728394a5b6c"


@pytest.mark.parametrize(
    ("other", "asked"),
    [
        (PVSCSI.format(target=0), PVSCSI.format(target=1)),
        (PVSCSI.format(target=1), PVSCSI.format(target=0)),
        (PVSCSI.format(target=0), "/dev/disk/by-path/unheard-of"),
        (f"{BY_ID}scsi-3{SERIAL}", f"{BY_ID}scsi-3{SERIAL[::-1]}"),
        (f"{BY_ID}ata-VMware_Virtual_SATA_0001", f"{BY_ID}ata-VMware_Virtual_SATA_0002"),
        (f"{BY_ID}ata-VMware_Virtual_SATA_0001", f"{BY_ID}wwn-0x{SERIAL}"),
    ],
)
def test_two_places_or_serials_cannot_both_be_the_only_disk(other: str, asked: str) -> None:
    assert found(f"{asked}-part2", machine(1), (f"{other}-part1", f"{asked}-part2")) is None


@pytest.mark.parametrize(
    ("other", "asked"),
    [
        (PVSCSI.format(target=0), PVSCSI.format(target=0)),
        (PVSCSI.format(target=0), f"{BY_ID}scsi-3{SERIAL}"),
        ("/dev/disk/by-path/pci-0000:02:01.0-ata-1.0", "/dev/disk/by-path/pci-0000:02:01.0-ata-1"),
        (f"{BY_ID}wwn-0x{SERIAL}", f"{BY_ID}scsi-3{SERIAL}"),
        (f"{BY_ID}scsi-SVMware_Virtual_disk_{SERIAL}", f"{BY_ID}scsi-3{SERIAL}"),
        (f"{BY_ID}dm-name-vg0-root", f"{BY_ID}scsi-3{SERIAL}"),
    ],
)
def test_several_names_of_one_place_or_serial_are_one_disk(other: str, asked: str) -> None:
    assert found(f"{asked}-part2", machine(1), (f"{other}-part1",)) == "/dev/sda2"


@pytest.mark.parametrize(
    "other", ["/dev/nvme0n1p1", "/dev/hda1", "/dev/vda", "/dev/xvda1", "/dev/cciss/c0d0p1"]
)
def test_two_families_of_plain_names_are_ambiguous(other: str) -> None:
    seen = ("/dev/sda1", other, "/dev/vg0/root")
    assert found("/dev/sda1", machine(2), seen) is None
    assert found(other, machine(2), seen) is None
    assert found("/dev/vg0/root", machine(2), seen) == "/dev/vg0/root"
    assert found("UUID=uuid-0-1", machine(2), seen) == "/dev/sda1"


@pytest.mark.parametrize(
    "aside",
    [
        "# / was on /dev/nvme0n1p1 during installation",
        "  #/dev/hda1 / ext3 defaults 0 1",
        "timeout=5 # not on /dev/vda",
        "/dev/hdc /media/cdrom0 udf,iso9660 user,noauto 0 0",
        "/dev/sr0 /mnt auto noauto 0 0",
        "/dev/cdrom /mnt auto noauto 0 0",
        "/dev/fd0 /mnt auto noauto 0 0",
        "(hd0)\t/dev/hda",
        "(fd0)\t/dev/fd0",
    ],
)
def test_what_names_no_disk_in_force_does_not_make_names_ambiguous(aside: str) -> None:
    names = device_names(machine(1), (f"/dev/sda2 / ext4 defaults 0 1\n{aside}\n",))
    assert names.by_name["/dev/sda2"] == "/dev/sda2"


def test_two_families_in_different_files_are_ambiguous_too() -> None:
    names = device_names(machine(1), ("/dev/sda2 / ext4\n", "linux /vmlinuz root=/dev/nvme0n1p2 ro\n"))
    assert names.by_name == {}


@pytest.mark.parametrize(
    ("disks", "targets", "asked", "disk"),
    [
        (2, (0, 1), 1, "/dev/sdb1"),
        (2, (0, 3), 3, "/dev/sdb1"),  # as many places as disks: in order
        (2, (1,), 1, "/dev/sdb1"),
        (2, (5,), 5, None),
        (3, (0, 2), 2, "/dev/sdc1"),
        (2, (0, 1, 2), 1, None),  # more places than disks
        (9, (8,), 8, "/dev/sdh1"),  # unit 7 is the controller
    ],
)
def test_by_path_with_several_disks(
    disks: int, targets: tuple[int, ...], asked: int, disk: str | None
) -> None:
    seen = tuple(PVSCSI.format(target=target) for target in targets)
    assert found(PVSCSI.format(target=asked) + "-part1", machine(disks), seen) == disk


def test_other_controllers_make_by_path_ambiguous() -> None:
    other = "/dev/disk/by-path/pci-0000:0b:00.0-scsi-0:0:0:0"
    assert found(PVSCSI.format(target=1), machine(2), (other,)) is None
    assert found("/dev/disk/by-path/pci-0000:02:01.0-ata-2-part1", machine(2)) == "/dev/sdb1"
    assert found("/dev/disk/by-path/pci-0000:02:01.0-sas-phy1-lun-0-part1", machine(2)) == "/dev/sdb1"
    assert found("/dev/disk/by-id/scsi-36000c29ab-part2", machine(2)) is None


def test_a_shared_uuid_is_ambiguous_unless_it_is_one_btrfs() -> None:
    twins = tuple(replace(device, uuid="same") for device in machine(2) if device.content)
    assert found("UUID=same", twins) is None
    assert found("UUID=same", tuple(replace(device, content="btrfs") for device in twins)) == "/dev/sda1"
    partitions = tuple(replace(device, content="btrfs", partuuid="same") for device in twins)
    assert found("PARTUUID=same", partitions) is None


def test_names_in_configuration_files() -> None:
    text = (
        "/dev/sda1\t/ ext4\nbtrfsvol:/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1/@home /home\n"
        "linux /vmlinuz root=/dev/sdb2 resume='/dev/sdc3' rd=/dev/sda3:crypt,/dev/vg0/root\n"
        "cryptdevice=/dev/disk/by-path/pci-1:2.0-ata-1-part5:name\n"
    )
    assert {
        "/dev/sda1",
        "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1",
        "/dev/sdb2",
        "/dev/sdc3",
        "/dev/sda3",
        "/dev/vg0/root",
        "/dev/disk/by-path/pci-1:2.0-ata-1-part5",
    } <= names_in(text)


def test_device_names() -> None:
    path = PVSCSI.format(target=0) + "-part1"
    names = device_names(machine(1), (f"{path} / ext4\n/dev/sda9 /x ext4\n/dev/mapper/vg0-root /y xfs\n",))
    assert names.by_name == {
        "/dev/sda1": "/dev/sda1",
        "/dev/sda2": "/dev/sda2",
        path: "/dev/sda1",
        "/dev/mapper/vg0-root": "/dev/vg0/root",
    }
    assert [each.device for each in names.filesystems] == ["/dev/sda1", "/dev/sda2", "/dev/vg0/root"]
    resolved = names.resolve(path)
    assert resolved and (resolved.uuid, resolved.disk, resolved.partition) == ("uuid-0-1", 0, 1)


@given(st.text(max_size=80))
def test_any_name_and_text(text: str) -> None:
    assert SourceNames(machine(2), names_in(text)).find(text) is None or text.startswith(("/dev/", "UUID"))


def test_a_hundred_thousand_names_end_soon() -> None:
    text = "".join(
        f"/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:{n}:0-part1 /x ext4\n" for n in range(20_000)
    )
    started = time.process_time()
    for disks in (1, 3):
        kind = BlockKind.DISK
        devices = tuple(
            BlockDevice(device=disk_name(index), kind=kind, size_bytes=1, disk=index)
            for index in range(disks)
        )
        found = device_names(devices, [text, text.replace("by-path", "by-id"), "/dev/sdq9 " * 100_000])
        assert len(found.by_name) == 0
    assert time.process_time() - started < 20
