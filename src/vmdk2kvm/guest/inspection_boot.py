"""How a guest is started: firmware, boot loaders and their configuration files."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from vmdk2kvm.guest.inspection_mounts import ESP_TYPES
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

# Below the root, then below each ESP.
_GRUB2 = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub2/custom.cfg", "/boot/grub/custom.cfg")
_GRUB2_ESP = ("/[Ee][Ff][Ii]/*/grub.cfg", "/grub/grub.cfg")
_GRUB_LEGACY = ("/boot/grub/menu.lst", "/boot/grub/grub.conf")
_EXTLINUX = ("/boot/extlinux/extlinux.conf", "/boot/syslinux/syslinux.cfg", "/boot/extlinux.conf")
_BLS = ("/boot/loader/entries/*.conf",)
_SYSTEMD_BOOT_ESP = ("/[Ee][Ff][Ii]/systemd/systemd-boot*.efi",)
_ENTRIES_ESP = ("/loader/entries/*.conf",)


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


def find_boot_loaders(guest: GuestReader, firmware: Firmware, esps: Sequence[str]) -> tuple[BootLoader, ...]:
    """Every loader with the files that hold kernel arguments; the same file behind two names once."""
    found = (_grub2, _grub_legacy, _systemd_boot, _extlinux)
    return tuple(loader for find in found if (loader := find(guest, firmware, esps)))


Finder = Callable[[GuestReader, Firmware, Sequence[str]], BootLoader | None]


def _grub2(guest: GuestReader, firmware: Firmware, esps: Sequence[str]) -> BootLoader | None:
    menus = _existing(guest, (*_GRUB2, *_below(esps, _GRUB2_ESP)))
    entries = _existing(guest, _BLS) if menus else ()
    return _loader(BootLoaderKind.GRUB2, firmware, (*menus, *entries))


def _grub_legacy(guest: GuestReader, firmware: Firmware, esps: Sequence[str]) -> BootLoader | None:
    del firmware, esps  # it knows no UEFI
    return _loader(BootLoaderKind.GRUB_LEGACY, Firmware.BIOS, _existing(guest, _GRUB_LEGACY))


def _systemd_boot(guest: GuestReader, firmware: Firmware, esps: Sequence[str]) -> BootLoader | None:
    del firmware  # it knows nothing else
    if not _existing(guest, _below(esps, _SYSTEMD_BOOT_ESP)):
        return None
    entries = _existing(guest, (*_below(esps, _ENTRIES_ESP), *_BLS))
    return BootLoader(kind=BootLoaderKind.SYSTEMD_BOOT, firmware=Firmware.UEFI, files=entries)


def _extlinux(guest: GuestReader, firmware: Firmware, esps: Sequence[str]) -> BootLoader | None:
    del firmware, esps
    return _loader(BootLoaderKind.EXTLINUX, Firmware.BIOS, _existing(guest, _EXTLINUX))


def _loader(kind: BootLoaderKind, firmware: Firmware, files: tuple[str, ...]) -> BootLoader | None:
    return BootLoader(kind=kind, firmware=firmware, files=files) if files else None


def _below(esps: Sequence[str], patterns: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{esp}{pattern}" for esp in esps for pattern in patterns)


def _existing(guest: GuestReader, patterns: Iterable[str]) -> tuple[str, ...]:
    real: dict[str, str] = {}
    for path in _matching(guest, patterns):
        real.setdefault(guest.realpath(path), path)
    return tuple(real.values())


def _matching(guest: GuestReader, patterns: Iterable[str]) -> Iterator[str]:
    """Links that lead nowhere are left out."""
    return (path for pattern in patterns for path in guest.glob(pattern) if guest.exists(path))
