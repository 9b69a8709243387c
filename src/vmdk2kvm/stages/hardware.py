"""Which of KVM's disk controllers and network cards a guest is given.

virtio, where its drivers are known to be there when the root file system is looked for. Else SATA
and e1000e, which QEMU emulates and which every kernel of the last fifteen years knows.
"""

from collections.abc import Iterator

from vmdk2kvm.fixes.linux.initramfs import BOOT_CRITICAL
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.guest_os import GuestOs, Kernel, OsFamily
from vmdk2kvm.model.report import BootBus, Finding, Level

_SATA = frozenset({"ahci", "sd_mod"})


def choose_bus(os: GuestOs) -> BootBus:
    """A known distribution gets virtio wherever its newest kernel has drivers for it."""
    if os.family is OsFamily.OTHER_LINUX:
        is_ready = bool(os.kernels) and _holds_virtio(os.kernels[0])
    else:
        is_ready = not os.kernels or not _lacks_virtio(os.kernels[0])
    return BootBus.VIRTIO_BLK if is_ready else BootBus.SATA


def emulated_hardware(os: GuestOs) -> Iterator[Finding]:
    """Told where the choice is not virtio."""
    if choose_bus(os) is not BootBus.SATA:
        return
    newest = os.kernels[0] if os.kernels else None
    why = "has no virtio" if newest and _lacks_virtio(newest) else "may have no virtio at hand"
    but = "" if newest is None or _holds(newest, _SATA) else "; its initramfs shows no driver for SATA either"
    yield Finding(
        id="emulated-hardware",
        level=Level.WARNING,
        message=f'"{visible(os.name)}" {why} when it starts, so emulated SATA and e1000e are chosen{but}.',
        remedy="give the machine a SATA disk and an e1000e card on KVM, or put virtio's drivers "
        "into its initramfs; --boot-bus tests another choice.",
    )


def _holds_virtio(kernel: Kernel) -> bool:
    return _holds(kernel, BOOT_CRITICAL)


def _holds(kernel: Kernel, modules: frozenset[str]) -> bool:
    """Whether they are there before the root file system is, built in or in the initramfs."""
    held = kernel.initramfs.modules if kernel.initramfs else frozenset()
    return modules <= kernel.builtin | held


def _lacks_virtio(kernel: Kernel) -> bool:
    return bool(BOOT_CRITICAL - kernel.available - kernel.builtin)
