"""What of a guest would not survive the move to KVM, each with its reason.

A forecast is made before any repair: most of what it names FIX takes care of, and says so.
"""

import re
from collections.abc import Iterable, Iterator

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.linux.device_map import DEVICE_MAPS
from vmdk2kvm.fixes.linux.initramfs import BOOT_CRITICAL
from vmdk2kvm.formats import boot_files, fstab
from vmdk2kvm.formats.boot_files import GENERATOR_PATHS
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.fat_names import any_case
from vmdk2kvm.guest.protocol import GuestReader, optional_text
from vmdk2kvm.model.guest_os import Firmware, GuestOs, Kernel, OsFamily
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.stages.encryption import encrypted_volumes
from vmdk2kvm.stages.hardware import emulated_hardware
from vmdk2kvm.stages.leftovers import leftovers
from vmdk2kvm.stages.network import interface_names
from vmdk2kvm.stages.proven import not_booted
from vmdk2kvm.stages.storage import is_left_behind, storage

_NAMING_ARGUMENTS = frozenset({"root", "resume"})
_OPTICAL = re.compile(r"/dev/(?:sr|scd|cdrom|fd)\w*")
_SUFFIXES = {"x86_64": "x64", "i686": "ia32", "aarch64": "aa64", "riscv64": "riscv64"}
_MOST_NAMES = 8


def forecast(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    yield from _distribution(os)
    yield from emulated_hardware(os)
    yield from _fstab(os)
    yield from storage(guest, os)
    yield from encrypted_volumes(guest, os)
    yield from _kernel_command_lines(guest, os)
    yield from _device_maps(guest)
    yield from interface_names(guest, os)
    if not os.kernels:
        yield Finding(
            id="no-kernel",
            level=Level.ERROR,
            message='no kernel with its modules was found in "/boot".',
            remedy="install a kernel in the guest; without one it cannot boot.",
        )
    for kernel in os.kernels:
        yield from _kernel(kernel)
    if os.firmware is Firmware.UEFI:
        yield from _fallback_loader(guest, os)
    yield from leftovers(guest, os)
    yield from not_booted(os)


def _distribution(os: GuestOs) -> Iterator[Finding]:
    if os.family is OsFamily.OTHER_LINUX:
        yield Finding(
            id="unknown-distribution",
            level=Level.WARNING,
            message=f'the distribution "{visible(os.name)}" is not one this tool was tested with.',
            remedy="boot the result with --qemu-test before you rely on it.",
        )


def _fstab(os: GuestOs) -> Iterator[Finding]:
    entries = [entry for entry in fstab.entries(os.fstab or "") if is_hostile(entry.spec)]
    names = list(dict.fromkeys(entry.spec for entry in entries))
    if names:
        yield Finding(
            id="fstab-vmware-names",
            level=Level.WARNING,
            message=f'"/etc/fstab" names devices that KVM calls otherwise: {_listed(names)}.',
            remedy="FIX writes stable names there (fstab-stable-names).",
        )
    unknown = [name for name in names if os.names.resolve(name) is None and not is_left_behind(os, name)]
    unknown = [name for name in unknown if not _OPTICAL.fullmatch(name)]
    if unknown:
        yield Finding(
            id="unresolved-device-name",
            level=Level.ERROR,
            message=f'"/etc/fstab" names devices that no disk here answers to: {_listed(unknown)}.',
            remedy="give all disks of the machine, in their order, or correct the lines in the guest.",
        )


def _kernel_command_lines(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    paths = [path for loader in os.boot_loaders for path in loader.files]
    paths += [path for pattern in GENERATOR_PATHS for path in guest.glob(pattern)]
    for path in dict.fromkeys(paths):
        names = list(dict.fromkeys(_hostile_arguments(path, optional_text(guest, path) or "")))
        if names:
            yield Finding(
                id="kernel-cmdline-vmware-names",
                level=Level.WARNING,
                message=f'"{visible(path)}" gives the kernel names that KVM does not know: {_listed(names)}.',
                remedy="FIX writes stable names there (kernel-cmdline-stable-root).",
            )


def _hostile_arguments(path: str, text: str) -> Iterator[str]:
    language = boot_files.language_of(path)
    try:
        for given in boot_files.arguments(language, text) if language else ():
            for each in given.parameters:
                if each.name in _NAMING_ARGUMENTS and each.value and is_hostile(each.value):
                    yield each.value
    except GuestError:
        return  # FIX tells what it could not read


def _device_maps(guest: GuestReader) -> Iterator[Finding]:
    for path in DEVICE_MAPS:
        if any(is_hostile(word) for word in (optional_text(guest, path) or "").split()):
            yield Finding(
                id="stale-device-map",
                level=Level.INFO,
                message=f'"{path}" ties GRUB to the names of VMware\'s disks.',
                remedy="FIX removes it (grub-device-map); GRUB finds the disks without it.",
            )


def _kernel(kernel: Kernel) -> Iterator[Finding]:
    version = visible(kernel.version)
    absent = BOOT_CRITICAL - kernel.available - kernel.builtin
    if absent:
        yield Finding(
            id="kernel-without-virtio",
            level=Level.ERROR,
            message=f'the kernel "{version}" has no driver {_listed(sorted(absent))}.',
            remedy="boot it from an emulated SATA disk, or install a kernel with virtio.",
        )
        return
    image = kernel.initramfs
    needed = BOOT_CRITICAL - kernel.builtin
    if image is None:
        if needed:
            yield _finding_for_image(version, "has no initramfs, and its virtio drivers are modules")
    elif image.error is not None:
        yield _finding_for_image(version, f'has an initramfs that cannot be read: "{visible(image.error)}"')
    elif needed - image.modules:
        lacking = _listed(sorted(needed - image.modules))
        yield _finding_for_image(
            version, f"has an initramfs without {lacking}, so it would not find its disk"
        )


def _finding_for_image(version: str, problem: str) -> Finding:
    return Finding(
        id="initramfs-without-virtio",
        level=Level.WARNING,
        message=f'the kernel "{version}" {problem}.',
        remedy="FIX builds its initramfs anew (initramfs-virtio).",
    )


def _fallback_loader(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    pattern = any_case(f"EFI/BOOT/BOOT{_SUFFIXES.get(os.arch, 'x64')}.EFI")
    fat = (mount.mountpoint for mount in os.mounts if mount.type == "vfat")
    if not any(guest.glob(f"{mountpoint}/{pattern}") for mountpoint in fat):
        yield Finding(
            id="uefi-without-fallback-loader",
            level=Level.WARNING,
            message="the EFI system partition has no loader in \\EFI\\BOOT, "
            "and the boot entry stays behind in VMware's NVRAM.",
            remedy="FIX puts the distribution's loader there (uefi-fallback-loader).",
        )


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return ", ".join(f'"{visible(name)}"' for name in shown[:_MOST_NAMES]) + more
