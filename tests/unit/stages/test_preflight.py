"""What stops a migration before the long work, and what is only told."""

import platform
from dataclasses import replace

import pytest

from tests.memory_session import MemorySession, Tree, disk, partition
from tests.unit.formats.test_superblock import ext
from vmdk2kvm.errors import GuestRefused
from vmdk2kvm.formats.superblock import EXT_OFFSET, SWAP_HEADER_BYTES
from vmdk2kvm.guest import inspection
from vmdk2kvm.guest.memory import Folder, Link
from vmdk2kvm.model.guest_os import Firmware, GuestOs
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.stages import inspect
from vmdk2kvm.stages.preflight import preflight

DEVICES = (
    disk("/dev/sda", 0),
    partition("/dev/sda1", "ext4", "1"),
    partition("/dev/sda2", "ext4", "2"),
    partition("/dev/sda3", "swap", "3"),
)
DAMAGED = bytes(EXT_OFFSET) + ext(2)
ASLEEP = bytes(SWAP_HEADER_BYTES - 10) + b"S1SUSPEND\0" + bytes(100)


def tree(fstab: str, **more: bytes | Link | Folder) -> Tree:
    return {
        "/etc/os-release": "ID=debian\n",
        "/etc/fstab": fstab,
        "/usr/x": b"",
        "/data": Folder(),
        "/boot/grub/grub.cfg": "linux /vmlinuz root=UUID=1\n",
        **more,
    }


def session(fstab: str = "UUID=1 / ext4\n", *devices, **options) -> MemorySession:  # type: ignore[no-untyped-def]
    more = options.pop("more", {})
    return MemorySession(devices or DEVICES, {"/dev/sda1": tree(fstab, **more), "/dev/sda2": {}}, **options)


def found(guest: MemorySession) -> list[Finding]:
    return list(preflight(guest, inspection.inspect(guest)))


def test_a_guest_in_order() -> None:
    assert [each for each in found(session()) if each.id not in ("foreign-architecture",)] == []


def test_a_damaged_root_is_refused_by_inspect() -> None:
    with pytest.raises(GuestRefused, match='"/dev/sda1" at "/" in the guest is marked as damaged') as caught:
        inspect.run(session(superblocks={"/dev/sda1": DAMAGED}))
    assert caught.value.exit_code == 5
    assert "`e2fsck -f /dev/sda1`" in caught.value.hint


@pytest.mark.parametrize("option", ["nofail", "noauto", "rw,nofail"])
def test_a_damaged_file_system_that_the_guest_can_do_without_is_told(option: str) -> None:
    fstab = f"UUID=1 / ext4\nUUID=2 /data ext4 {option}\n"
    (told,) = found(session(fstab, superblocks={"/dev/sda2": DAMAGED}))
    assert (told.id, told.level) == ("file-system-damaged", Level.WARNING)
    assert "`e2fsck -f /dev/sda2`" in told.remedy


def test_a_damaged_file_system_that_it_needs_is_refused() -> None:
    with pytest.raises(GuestRefused, match='"/dev/sda2" at "/data"'):
        found(session("UUID=1 / ext4\nUUID=2 /data ext4\n", superblocks={"/dev/sda2": DAMAGED}))


def test_a_damaged_disk_that_no_fstab_names_is_not_looked_at() -> None:
    assert found(session(superblocks={"/dev/sda2": DAMAGED})) == []


def test_what_does_not_mount_names_its_own_remedy() -> None:
    devices = (*DEVICES[:2], partition("/dev/sda2", "xfs", "2"))
    with pytest.raises(GuestRefused, match='"/dev/sda2" cannot be mounted') as caught:
        found(session("UUID=1 / ext4\nUUID=2 /data xfs\n", *devices, broken=["/dev/sda2"]))
    assert "`xfs_repair /dev/sda2`" in caught.value.hint


def test_replayed_journals_are_told() -> None:
    (told,) = found(session(dirty=["/dev/sda1"]))
    assert (told.id, told.level) == ("journal-replayed", Level.INFO)


@pytest.mark.parametrize("content", ["swsuspend", "suspend"])
def test_a_hibernated_guest_is_refused(content: str) -> None:
    devices = (*DEVICES[:3], partition("/dev/sda3", content))
    with pytest.raises(GuestRefused, match='hibernated: "/dev/sda3"') as caught:
        found(session("UUID=1 / ext4\n", *devices))
    assert "shut it down" in caught.value.hint


def test_a_guest_hibernated_into_a_file_is_refused() -> None:
    fstab = "UUID=1 / ext4\n/swap.img none swap sw\n"
    with pytest.raises(GuestRefused, match=r'"/swap\.img"'):
        found(session(fstab, more={"/swap.img": ASLEEP}))


@pytest.mark.parametrize(
    "node", [b"", b"short", ASLEEP[:-101], Folder(), Link(target="/swap.img"), Link(target="/none")]
)
def test_other_swap_files_are_passed_over(node: bytes | Folder | Link) -> None:
    assert found(session("UUID=1 / ext4\n/swap.img none swap sw\n", more={"/swap.img": node})) == []


def test_ten_thousand_swap_files() -> None:
    fstab = "UUID=1 / ext4\n" + "".join(f"/swap{n} none swap\n" for n in range(10_000))
    assert found(session(fstab)) == []


@pytest.mark.parametrize(
    ("arch", "firmware", "wanted"),
    [
        ("x86_64", Firmware.BIOS, []),
        ("unknown", Firmware.UEFI, []),
        ("i686", Firmware.BIOS, ["guest-32-bit"]),
        ("i386", Firmware.UEFI, ["guest-32-bit-uefi"]),
        ("aarch64", Firmware.UEFI, ["foreign-architecture"]),
    ],
)
def test_architectures(
    monkeypatch: pytest.MonkeyPatch, arch: str, firmware: Firmware, wanted: list[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    guest = session()
    os: GuestOs = replace(inspection.inspect(guest), arch=arch, firmware=firmware)
    assert [each.id for each in preflight(guest, os)] == wanted


def test_a_32_bit_guest_on_an_arm_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    guest = session()
    os = replace(inspection.inspect(guest), arch="i686")
    (told,) = preflight(guest, os)
    assert told.id == "foreign-architecture"
    assert '"i686"' in told.message and '"aarch64"' in told.message


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (b"UUID=1 / ext4\n" * 100_000, "has no usable size"),
        (Folder(), "is a directory"),
        (Link(target="fstab"), "is a symlink"),
    ],
)
def test_an_fstab_that_is_none_is_told(node: bytes | Folder | Link, said: str) -> None:
    (told,) = found(session(more={"/etc/fstab": node}))
    assert (told.id, told.level) == ("fstab-unread", Level.ERROR)
    assert said in told.message


def test_a_guest_whose_boot_loader_is_hidden() -> None:
    loop: dict[str, bytes | Link | Folder] = {"/boot/grub/grub.cfg": Link(target="grub.cfg")}
    (told,) = found(session(more=loop))
    assert told.id == "no-boot-loader-found"


def test_a_thousand_kernels() -> None:
    more: dict[str, bytes | Link | Folder] = {}
    for number in range(1000):
        more |= {f"/boot/vmlinuz-6.1.{number}": b"MZ", f"/lib/modules/6.1.{number}/modules.dep": b""}
    guest = session(more=more)
    os = inspection.inspect(guest)
    assert [kernel.version for kernel in os.kernels] == [f"6.1.{n}" for n in range(999, 967, -1)]
    assert [each.id for each in preflight(guest, os)] == ["kernels-left-out"]
