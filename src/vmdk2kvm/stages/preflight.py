"""What would make the long work vain, asked of a guest as soon as it lies open.

A guest that must not be touched is refused here, before anything is repaired or copied; what can
be lived with becomes a finding.
"""

import platform
from collections.abc import Iterator

from vmdk2kvm.errors import GuestError, GuestRefused
from vmdk2kvm.formats import fstab
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.fstab import Entry
from vmdk2kvm.formats.superblock import (
    EXT_BYTES,
    EXT_OFFSET,
    SWAP_HEADER_BYTES,
    ext_has_errors,
    swap_is_suspended,
)
from vmdk2kvm.guest import inspection
from vmdk2kvm.guest.inspection_kernels import MAX_KERNELS
from vmdk2kvm.guest.protocol import FileType, GuestReader, GuestSession
from vmdk2kvm.model.guest_os import Firmware, GuestOs, Mount
from vmdk2kvm.model.report import Finding, Level

X86_32 = frozenset({"i386", "i486", "i586", "i686"})
X86_64 = frozenset({"x86_64", "amd64"})
_EXT = frozenset({"ext2", "ext3", "ext4"})
_SUSPENDED_TYPES = frozenset({"swsuspend", "suspend"})  # what blkid calls such a swap space
_MAY_FAIL = frozenset({"nofail", "noauto"})
_MAX_SWAP_FILES = 16


def preflight(session: GuestSession, os: GuestOs) -> Iterator[Finding]:
    """Raises GuestRefused."""
    _refuse_sleeping(session, os)
    yield from _damaged(session, os)
    yield from _unread_fstab(session, os)
    yield from _replayed(session)
    yield from _architecture(os)
    yield from _found_to_boot(os)


def _refuse_sleeping(guest: GuestReader, os: GuestOs) -> None:
    asleep = [one.device for one in os.names.filesystems if one.type in _SUSPENDED_TYPES]
    asleep += [path for path in _swap_files(os) if _sleeps_in(guest, path)]
    if asleep:
        raise GuestRefused(
            f'the guest is hibernated: "{visible(asleep[0])}" holds its memory, '
            "and its file systems are still in use by it.",
            hint="start it on the source machine, shut it down (not hibernate), then run again.",
        )


def _swap_files(os: GuestOs) -> list[str]:
    swaps = [entry.spec for entry in fstab.entries(os.fstab or "") if entry.type == "swap"]
    files = (spec for spec in swaps if spec.startswith("/") and not spec.startswith("/dev/"))
    return list(dict.fromkeys(files))[:_MAX_SWAP_FILES]


def _sleeps_in(guest: GuestReader, path: str) -> bool:
    try:
        if guest.stat(guest.realpath(path)).type is not FileType.REGULAR:
            return False
        with guest.open(path) as stream:
            return swap_is_suspended(stream.read(SWAP_HEADER_BYTES))
    except (FileNotFoundError, GuestError):
        return False


def _damaged(session: GuestSession, os: GuestOs) -> Iterator[Finding]:
    for mount in os.mounts:
        if mount.type not in _EXT:
            continue
        if not ext_has_errors(session.read_device(mount.device, EXT_OFFSET, EXT_BYTES)):
            continue
        problem = (
            f'"{visible(mount.device)}" at "{visible(mount.mountpoint)}" in the guest is marked as damaged: '
            f"its own kernel met errors in that {mount.type} file system"
        )
        remedy = f"run `e2fsck -f {visible(mount.device)}` on the source machine, then run again."
        if not _may_fail(os, mount):
            raise GuestRefused(f"{problem}.", hint=remedy)
        yield Finding(id="file-system-damaged", level=Level.WARNING, message=f"{problem}.", remedy=remedy)


def _unread_fstab(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    if os.fstab is not None:
        return
    try:
        kind = guest.stat(inspection.FSTAB).type
    except (FileNotFoundError, GuestError):
        return
    what = "has no usable size" if kind is FileType.REGULAR else f"is a {kind.value}, no text file"
    yield Finding(
        id="fstab-unread",
        level=Level.ERROR,
        message=f'"{inspection.FSTAB}" in the guest {what}, so only its root was mounted and looked into.',
        remedy="put the file right in the guest, then run again.",
    )


def _may_fail(os: GuestOs, mount: Mount) -> bool:
    """Whether the guest boots without it, as its fstab says."""
    entries: Iterator[Entry] = (
        entry for entry in fstab.entries(os.fstab or "") if entry.mountpoint == mount.mountpoint
    )
    return any(not _MAY_FAIL.isdisjoint(fstab.split_options(entry.options or "")) for entry in entries)


def _replayed(session: GuestSession) -> Iterator[Finding]:
    for device in session.replayed():
        yield Finding(
            id="journal-replayed",
            level=Level.INFO,
            message=f'"{visible(device)}" was not unmounted cleanly; its journal was replayed in an overlay.',
            remedy="shut the machine down before the final run, so that nothing it had in memory is lost.",
        )


def _architecture(os: GuestOs) -> Iterator[Finding]:
    host = platform.machine()
    if os.arch == "unknown" or os.arch == host:
        return
    if os.arch not in X86_32 or host not in X86_64:
        yield Finding(
            id="foreign-architecture",
            level=Level.WARNING,
            message=f'the guest is made for "{visible(os.arch)}" and this host is "{host}": '
            "its own programs cannot run here, and it cannot be test-booted.",
            remedy="run the migration on a host of that architecture.",
        )
    elif os.firmware is Firmware.UEFI:
        yield Finding(
            id="guest-32-bit-uefi",
            level=Level.WARNING,
            message="the guest is a 32-bit system that boots by UEFI, "
            "and the usual firmware for KVM starts 64-bit loaders only.",
            remedy="give the machine a 32-bit UEFI firmware, or make the guest boot by BIOS.",
        )
    else:
        yield Finding(
            id="guest-32-bit",
            level=Level.INFO,
            message=f'the guest is a 32-bit system ("{os.arch}").',
            remedy="nothing has to be done; it runs on a 64-bit machine of KVM as it is.",
        )


def _found_to_boot(os: GuestOs) -> Iterator[Finding]:
    if not os.boot_loaders:
        yield Finding(
            id="no-boot-loader-found",
            level=Level.WARNING,
            message="no configuration of a boot loader was found in the guest, "
            "so the kernel's arguments were not looked at.",
            remedy="prove with --qemu-test that the result boots; see what loads the kernel in the guest.",
        )
    if len(os.kernels) >= MAX_KERNELS:
        yield Finding(
            id="kernels-left-out",
            level=Level.WARNING,
            message=f"the guest has too many kernels; only the newest {MAX_KERNELS} are looked at.",
            remedy="remove old kernels in the guest.",
        )
