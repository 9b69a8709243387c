"""Unified kernel images: kernel, initramfs and arguments in one signed file, which no repair may change.

What stands in the way of their boot on KVM is told instead (UAPI.5, "Unified Kernel Image").
"""

from collections.abc import Iterator

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, report
from vmdk2kvm.formats import kernel_cmdline, unified_kernel
from vmdk2kvm.formats.device_names import starts_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.fat_names import any_case
from vmdk2kvm.formats.unified_kernel import UnifiedKernel
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.report import Finding, Level

_IMAGES = any_case("/EFI/Linux/*.efi")
_SEALED = NoStableName(problem="sealed", why="the arguments are sealed in the image")
_BUS, _DISKS = "virtio_pci", frozenset({"virtio_blk", "virtio_scsi"})
_BUILD = (
    "build it anew in the guest before the move, with virtio_pci, virtio_blk, virtio_scsi and sd_mod in its"
    " initramfs (`mkinitcpio -P`, `dracut --uefi --force`, `kernel-install add`)."
)


def unified_kernels(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    """Findings only."""
    folders = {"/boot": None} | {each.mountpoint: None for each in os.mounts if each.type == "vfat"}
    paths = [path for each in folders for path in guest.glob(each + _IMAGES) if guest.exists(path)]
    images = {guest.realpath(path): path for path in reversed(paths)}
    found = (finding for path in sorted(images.values()) for finding in _judge(guest, os, path))
    yield from bounded(found, "/EFI/Linux")


def _judge(guest: GuestReader, os: GuestOs, path: str) -> Iterator[Finding]:
    image = _read(guest, path)
    if image is None:
        yield _told(path, Level.WARNING, "cannot be read", _BUILD)
        return
    values = [each.value or "" for each in kernel_cmdline.parameters(image.arguments)]
    for name in dict.fromkeys(filter(starts_hostile, values)):
        yield report(name, f'"{path}"', _SEALED, prefix="unified-kernel", level=Level.ERROR)
    if image.initramfs is None or image.initramfs.error:
        yield _told(path, Level.WARNING, "has no initramfs that can be read", _BUILD)
    elif _lacks_virtio(os, image, image.initramfs.modules):
        yield _told(path, Level.ERROR, "finds no virtio disk: its initramfs has no driver for one", _BUILD)
    else:
        yield _told(path, Level.INFO, "stays as it is; its initramfs holds virtio", "nothing has to be done.")


def _read(guest: GuestReader, path: str) -> UnifiedKernel | None:
    try:
        with guest.open(path) as stream:
            return unified_kernel.read(path, stream)
    except (FileNotFoundError, GuestError):
        return None


def _lacks_virtio(os: GuestOs, image: UnifiedKernel, modules: frozenset[str]) -> bool:
    builtin = (each.builtin for each in os.kernels if each.version == image.version)
    there = modules | next(builtin, frozenset())
    return _BUS not in there or there.isdisjoint(_DISKS)


def _told(path: str, level: Level, why: str, remedy: str) -> Finding:
    return Finding(
        id="unified-kernel-image",
        level=level,
        message=visible(f'the unified kernel image "{path}" {why}.'),
        remedy=remedy,
    )
