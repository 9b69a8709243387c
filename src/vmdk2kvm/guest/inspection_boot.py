"""How a guest is started: firmware, boot loaders and their configuration files."""

from collections.abc import Iterable, Sequence
from itertools import chain

from vmdk2kvm.formats.boot_files import BOOT_FILES, Language, patterns
from vmdk2kvm.formats.fat_names import any_case
from vmdk2kvm.guest.inspection_mounts import ESP_TYPES, XBOOTLDR_TYPE
from vmdk2kvm.guest.protocol import BlockDevice, GuestReader
from vmdk2kvm.model.guest_os import BootLoader, BootLoaderKind, Firmware, Mount

_BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
_BIOS_CORES = ("/boot/grub/i386-pc/core.img", "/boot/grub2/i386-pc/core.img")
_BIOS_FILES = (
    *_BIOS_CORES,
    "/boot/grub/stage2",
    "/boot/extlinux/ldlinux.sys",
    "/boot/syslinux/ldlinux.sys",
    "/boot/ldlinux.sys",
    "/extlinux/ldlinux.sys",
)

_SYSTEMD_BOOT = any_case("/EFI/systemd/systemd-boot*.efi")
_MENUS = {
    BootLoaderKind.GRUB2: Language.GRUB_SCRIPT,
    BootLoaderKind.GRUB_LEGACY: Language.GRUB_LEGACY,
    BootLoaderKind.EXTLINUX: Language.SYSLINUX,
}
Found = dict[Language, dict[str, str]]


def esp_mountpoints(devices: Sequence[BlockDevice], mounts: Iterable[Mount]) -> tuple[str, ...]:
    esps = {device.device for device in devices if device.part_type in ESP_TYPES}
    return tuple(mount.mountpoint for mount in mounts if mount.device in esps and mount.type == "vfat")


def detect_firmware(guest: GuestReader, devices: Sequence[BlockDevice], esps: Sequence[str]) -> Firmware:
    """What the boot files were made for: partition types alone do not say, many disks carry both."""
    loads_efi = any(guest.glob(f"{esp}/[Ee][Ff][Ii]/*/*.[Ee][Ff][Ii]") for esp in esps)
    has_files = any(guest.exists(path) for path in _BIOS_FILES)
    has_code = any(any(device.boot_code) for device in devices)
    if loads_efi:
        return Firmware.BIOS if has_files and has_code else Firmware.UEFI
    if has_files or has_code or any(device.part_type == _BIOS_BOOT for device in devices):
        return Firmware.BIOS
    return Firmware.UEFI if any(device.part_type in ESP_TYPES for device in devices) else Firmware.BIOS


def boot_partitions(devices: Sequence[BlockDevice], mounts: Iterable[Mount]) -> tuple[str, ...]:
    """Where partitions are mounted on which boot loaders look for their files, the ESPs first."""
    mounts = tuple(mounts)
    extended = {device.device for device in devices if device.part_type == XBOOTLDR_TYPE}
    more = (mount.mountpoint for mount in mounts if mount.device in extended)
    return (*esp_mountpoints(devices, mounts), *more)


def find_boot_loaders(
    guest: GuestReader, firmware: Firmware, partitions: tuple[str, ...]
) -> tuple[BootLoader, ...]:
    """Every loader with the files that hold kernel arguments; the same file behind two names once."""
    found = {
        each.language: _existing(guest, patterns(each, partitions)) for each in BOOT_FILES if each.loaders
    }
    return tuple(
        _loader(kind, firmware, found)
        for kind in BootLoaderKind
        if _is_installed(guest, kind, found, partitions)
    )


def _is_installed(
    guest: GuestReader, kind: BootLoaderKind, found: Found, partitions: tuple[str, ...]
) -> bool:
    if kind in _MENUS:
        return bool(found[_MENUS[kind]])
    if any(guest.glob(f"{each}{_SYSTEMD_BOOT}") for each in partitions):
        return True
    return bool(found[Language.BOOT_ENTRY]) and not found[Language.GRUB_SCRIPT]


def _loader(kind: BootLoaderKind, firmware: Firmware, found: Found) -> BootLoader:
    if kind is BootLoaderKind.SYSTEMD_BOOT:
        firmware = Firmware.UEFI  # it knows nothing else
    read = (found[each.language].values() for each in BOOT_FILES if kind in each.loaders)
    return BootLoader(kind=kind, firmware=firmware, files=tuple(chain.from_iterable(read)))


def _existing(guest: GuestReader, patterns: Iterable[str]) -> dict[str, str]:
    """The files that are there, by their real place; links that lead nowhere are left out."""
    real: dict[str, str] = {}
    for path in (path for pattern in patterns for path in guest.glob(pattern)):
        if guest.exists(path):
            real.setdefault(guest.realpath(path), path)
    return real
