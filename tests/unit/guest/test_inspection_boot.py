"""Which boot loaders a guest has, where their files lie, and which partitions they are read from."""

import pytest

from tests.memory_session import ESP, MemorySession, Tree, disk, partition
from vmdk2kvm.guest.inspection import inspect
from vmdk2kvm.guest.inspection_boot import boot_partitions, find_boot_loaders
from vmdk2kvm.guest.memory import Folder, Link, MemoryGuest
from vmdk2kvm.model.guest_os import BootLoaderKind, Firmware, Mount

XBOOTLDR = "bc13c2ff-59e6-4262-a352-b275fd6f7172"
GRUB2, LEGACY, SYSTEMD, EXTLINUX = (
    BootLoaderKind.GRUB2,
    BootLoaderKind.GRUB_LEGACY,
    BootLoaderKind.SYSTEMD_BOOT,
    BootLoaderKind.EXTLINUX,
)


def found(
    files: dict[str, object], *partitions: str, firmware: Firmware = Firmware.UEFI
) -> list[tuple[BootLoaderKind, tuple[str, ...]]]:
    loaders = find_boot_loaders(MemoryGuest(files), firmware, partitions)  # type: ignore[arg-type]
    return [(each.kind, each.files) for each in loaders]


def test_red_hat_keeps_menu_entries_and_environment_apart() -> None:
    files = {
        "/boot/grub2/grub.cfg": "",
        "/boot/efi/EFI/redhat/grub.cfg": "",
        "/boot/efi/EFI/redhat/grubenv": "",
        "/boot/grub2/grubenv": Link(target="../efi/EFI/redhat/grubenv"),
        "/boot/loader/entries/a.conf": "",
    }
    assert found(files, "/boot/efi") == [
        (
            GRUB2,
            (
                "/boot/grub2/grub.cfg",
                "/boot/efi/EFI/redhat/grub.cfg",
                "/boot/loader/entries/a.conf",
                "/boot/grub2/grubenv",
            ),
        )
    ]


def test_a_link_and_its_file_are_one() -> None:
    files = {"/boot/grub/grub.conf": "", "/boot/grub/menu.lst": Link(target="./grub.conf")}
    assert found(files, firmware=Firmware.BIOS) == [(LEGACY, ("/boot/grub/menu.lst",))]
    assert found({"/boot/grub/menu.lst": Link(target="gone")}) == []


@pytest.mark.parametrize("esp", ["/boot/efi", "/efi", "/boot"])
def test_systemd_boot(esp: str) -> None:
    files = {f"{esp}/EFI/systemd/systemd-bootx64.efi": b"", f"{esp}/loader/entries/a.conf": ""}
    assert found(files, esp) == [(SYSTEMD, (f"{esp}/loader/entries/a.conf",))]


def test_entries_without_a_menu_are_systemd_boots() -> None:
    files = {"/efi/loader/entries/a.conf": "", "/boot/loader/entries/b.conf": ""}
    assert found(files, "/efi", "/boot") == [
        (SYSTEMD, ("/boot/loader/entries/b.conf", "/efi/loader/entries/a.conf"))
    ]


def test_two_loaders_that_read_the_same_entries() -> None:
    files = {
        "/boot/grub/grub.cfg": "",
        "/efi/EFI/systemd/systemd-bootx64.efi": b"",
        "/efi/loader/entries/a.conf": "",
    }
    assert [kind for kind, _ in found(files, "/efi")] == [GRUB2, SYSTEMD]


def test_extlinux_and_what_it_includes() -> None:
    files = {
        "/boot/extlinux/extlinux.conf": "",
        "/boot/extlinux/linux.cfg": "",
        "/boot/extlinux/themes/x.cfg": "",
    }
    assert found(files, firmware=Firmware.BIOS) == [
        (EXTLINUX, ("/boot/extlinux/extlinux.conf", "/boot/extlinux/linux.cfg"))
    ]


def test_fat_names_in_any_case() -> None:
    files = {"/boot/efi/efi/Debian/GRUB.CFG": "", "/boot/efi/Loader/Entries/A.CONF": ""}
    assert found(files, "/boot/efi") == [
        (GRUB2, ("/boot/efi/efi/Debian/GRUB.CFG", "/boot/efi/Loader/Entries/A.CONF"))
    ]


def test_the_extended_boot_partition_is_one_more() -> None:
    devices = [
        disk("/dev/sda", 0),
        partition("/dev/sda1", "vfat", part_type=ESP),
        partition("/dev/sda2", "ext4", part_type=XBOOTLDR),
    ]
    mounts = [
        Mount(device="/dev/sda3", mountpoint="/", type="ext4"),
        Mount(device="/dev/sda2", mountpoint="/xboot", type="ext4"),
        Mount(device="/dev/sda1", mountpoint="/efi", type="vfat"),
    ]
    assert boot_partitions(devices, mounts) == ("/efi", "/xboot")


def machine(root: Tree, *, extended: str | None = "vfat", fstab: str = "UUID=r / ext4\n") -> MemorySession:
    devices = [
        disk("/dev/sda", 0, boot_code=bytes(440)),
        partition("/dev/sda1", "vfat", "E", part_type=ESP),
        partition("/dev/sda2", "ext4", "r"),
    ]
    trees: dict[str, Tree] = {
        "/dev/sda1": {
            "/EFI/systemd/systemd-bootx64.efi": b"",
            "/loader/entries/esp.conf": "options root=/dev/sda2\n",
        },
        "/dev/sda2": {"/etc/os-release": "ID=arch\n", "/etc/fstab": fstab, "/usr/bin/x": b"", **root},
    }
    if extended:
        devices.append(partition("/dev/sda3", extended, "X", part_type=XBOOTLDR))
        trees["/dev/sda3"] = {"/loader/entries/x.conf": "options root=/dev/sda2\n"}
    return MemorySession(devices, trees)


def mounted(session: MemorySession) -> list[tuple[str, str]]:
    return [(each.device, each.mountpoint) for each in inspect(session).mounts[1:]]


def test_partitions_that_systemd_mounts_by_itself() -> None:
    empty = {"/boot": Folder(), "/efi": Folder()}
    assert mounted(machine(empty)) == [("/dev/sda3", "/boot"), ("/dev/sda1", "/efi")]
    assert mounted(machine({"/boot": Folder()}, extended=None)) == [("/dev/sda1", "/boot")]
    assert mounted(machine({"/boot/vmlinuz": b"", "/efi": Folder()})) == [("/dev/sda1", "/efi")]
    assert mounted(machine({"/boot/vmlinuz": b""}, extended=None)) == []
    assert mounted(machine(empty, extended="crypto_LUKS")) == [("/dev/sda1", "/efi")]


def test_what_fstab_mounts_is_not_mounted_again() -> None:
    session = machine({"/boot": Folder()}, extended=None, fstab="UUID=r / ext4\nUUID=E /boot vfat\n")
    assert mounted(session) == [("/dev/sda1", "/boot")]
    both = "UUID=r / ext4\nUUID=X /boot vfat\nUUID=E /efi vfat\n"
    assert len(mounted(machine({"/boot": Folder(), "/efi": Folder()}, fstab=both))) == 2


def test_entries_on_both_partitions_are_found_and_their_names_resolved() -> None:
    os = inspect(machine({"/boot": Folder(), "/efi": Folder()}))
    (loader,) = os.boot_loaders
    assert (loader.kind, loader.files) == (
        SYSTEMD,
        ("/boot/loader/entries/x.conf", "/efi/loader/entries/esp.conf"),
    )
    root = os.names.resolve("/dev/sda2")
    assert root and root.uuid == "r"
