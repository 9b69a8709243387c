"""The initramfs finds the root file system on virtio.

An image made on VMware may hold VMware's drivers only. It is rebuilt by the guest's own tool
(initramfs-tools, dracut, mkinitcpio, mkinitfs, SUSE's mkinitrd) where a driver lacks, and where a device
name that no longer holds is baked into it; else it is left alone. Where no such tool is, or it fails,
the drivers are appended as a second archive, if that image's own init can be told to load them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.appendix import build
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text
from vmdk2kvm.fixes.initramfs_settings import WANTED, Wanted, arguments, growth, settings
from vmdk2kvm.fixes.interface_naming import lacks_link_files
from vmdk2kvm.fixes.rebuild import REBUILDERS
from vmdk2kvm.fixes.storage_settings import COPIED, holds_stale_settings, modules_below
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.initramfs_appendix import NoAppendix
from vmdk2kvm.formats.kernel_modules import parse_dependencies, parse_softdeps, with_dependencies
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import Rebuild, RebuildKind
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, Initramfs, InitramfsTool, Kernel, OsFamily
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB

BOOT_CRITICAL = frozenset({"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"})
DISK_DRIVERS = frozenset({"virtio_blk", "virtio_scsi"})

RESUME_FILE = "/etc/initramfs-tools/conf.d/resume"
RESUME_IN_IMAGE = "conf/conf.d/resume"

# Where the tools take the names from that they bake into an image.
_BAKED_FROM = (
    "/etc/fstab",
    "/etc/crypttab",
    "/etc/crypttab.initramfs",
    "/etc/cmdline",
    "/etc/cmdline.d/*",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/conf.d/*",
    "/etc/modules-load.d/*",
)
_UNLOCKING = frozenset({"dm_crypt", "xts"})
_UNLOCKING_FILES = ("cryptroot/crypttab", "etc/crypttab")
_WORD_BORDER = re.compile(rb"[\s=,;:\"']+")

_GROWTH_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """A kernel whose image has to be built anew; `lacking` may be empty."""

    kernel: Kernel
    image: Initramfs
    must_hold: frozenset[str]
    lacking: frozenset[str]
    stale_names: bool
    must_keep: tuple[str, ...] = ()

    @property
    def wanted(self) -> Wanted:
        """Drivers to ask the tool for: with one lacking, the others' absence is no choice either."""
        present = _as_modules(self.kernel, frozenset(WANTED))
        to_add = present - self.image.modules if self.lacking else frozenset()
        names = tuple(name for name in WANTED if name in to_add)
        kept = tuple(name for name in WANTED if name in self.must_hold & BOOT_CRITICAL)
        return Wanted(kernel=self.kernel, path=self.image.path, names=names, kept=kept)


def plan(guest: GuestReader, os: GuestOs) -> Planned:
    images: list[_Image] = []
    for index, kernel in enumerate(k for k in os.kernels if not _is_special(k.version)):
        found = _examine(guest, os, kernel, newest=index == 0)
        if isinstance(found, Finding):
            yield found
        elif found is not None:
            images.append(_with_stack(os, found))
    tool = os.initramfs_tool
    if images and tool is not None and _has_recipe(os):
        times = growth(guest, tool)  # asked of the guest as it is before the settings
        yield from settings(guest, tool, [image.wanted for image in images], os.kernels)
        for image in images:
            yield _rebuild(guest, tool, image, times=times, copy_of=_original(os, image))
        return
    for image in images:
        yield from _appended(guest, os, image)


INITRAMFS_VIRTIO_FIX = Fix(
    name="initramfs-virtio",
    reason="the initramfs has to hold the drivers of KVM's disks, else the root file system is not found",
    families=LINUX_FAMILIES,
    plan=plan,
)


# judging one kernel


def _examine(guest: GuestReader, os: GuestOs, kernel: Kernel, *, newest: bool) -> _Image | Finding | None:
    """What to do for one kernel: rebuild, tell the operator, or nothing."""
    present = kernel.available | kernel.builtin
    if "virtio_pci" not in present or not DISK_DRIVERS & present:
        return _lacks(kernel, "it has no virtio drivers at all", _OTHER_BUS)
    critical = _critical(guest, kernel)
    image = kernel.initramfs
    if image is None:
        level = Level.ERROR if newest else Level.WARNING
        return _lacks(kernel, "it has no initramfs", _MAKE_IMAGE, level) if critical else None
    lacking = critical - image.modules
    stale_names = _holds_stale_names(guest, image) or lacks_link_files(guest, image)
    stale_names = stale_names or holds_stale_settings(guest, os, image)
    if not lacking and image.error is None and not stale_names:
        return None
    return _Image(kernel=kernel, image=image, must_hold=critical, lacking=lacking, stale_names=stale_names)


def _with_stack(os: GuestOs, found: _Image) -> _Image:
    """What the image starts arrays and opens encrypted volumes with has to be in the new one too: the
    guest's tool looks for them in the machine it runs on."""
    files = dict(found.image.files)
    must_keep = tuple(path for path in _UNLOCKING_FILES if files.get(path, b"").strip())
    below = modules_below(os) | (_UNLOCKING if must_keep or os.luks else frozenset())
    needed = _as_modules(found.kernel, below & found.image.modules)
    return replace(found, must_hold=found.must_hold | needed, must_keep=must_keep)


def _has_recipe(os: GuestOs) -> bool:
    """SUSE's mkinitrd and the others' have only the name in common."""
    suse_only = os.initramfs_tool is InitramfsTool.MKINITRD and os.family is not OsFamily.SUSE
    return os.initramfs_tool in REBUILDERS and not suse_only


def _is_special(version: str) -> bool:
    """Rescue and crash kernels have images of their own kind."""
    return "rescue" in version or "kdump" in version


def _as_modules(kernel: Kernel, names: frozenset[str]) -> frozenset[str]:
    return (names & kernel.available) - kernel.builtin


def _critical(guest: GuestReader, kernel: Kernel) -> frozenset[str]:
    """The modules without which this kernel does not reach a virtio disk, with all they need."""
    needs = parse_dependencies(_of_kernel(guest, kernel, "modules.dep"))
    for name, before in parse_softdeps(_of_kernel(guest, kernel, "modules.softdep")).items():
        needs[name] = needs.get(name, frozenset()) | before
    return _as_modules(kernel, with_dependencies(_as_modules(kernel, BOOT_CRITICAL), needs))


def _of_kernel(guest: GuestReader, kernel: Kernel, name: str) -> str:
    """ "" where it cannot be read: the tool resolves modules itself; ours only make the proof stricter."""
    try:
        return guest.read_text(f"/lib/modules/{kernel.version}/{name}")
    except (FileNotFoundError, GuestError):
        return ""


def _holds_stale_names(guest: GuestReader, image: Initramfs) -> bool:
    """Whether a new image would differ in a device name from this one."""
    files = dict(image.files)
    resume = files.get(RESUME_IN_IMAGE)
    configured = _content(guest, RESUME_FILE)
    if resume is not None and configured is not None and resume != configured:
        return True
    settings_apart = (content for path, content in files.items() if path not in COPIED)
    baked = {word for content in settings_apart for word in _hostile_words(content)}
    return bool(baked) and not baked <= _still_configured(guest)


def _still_configured(guest: GuestReader) -> set[bytes]:
    """Hostile names that a new image would hold again."""
    paths = (path for pattern in _BAKED_FROM for path in guest.glob(pattern))
    return {word for path in paths for word in _hostile_words(_content(guest, path) or b"")}


def _hostile_words(content: bytes) -> Iterator[bytes]:
    for word in _WORD_BORDER.split(content):
        if is_hostile(word.decode("utf-8", "surrogateescape")):
            yield word


def _content(guest: GuestReader, path: str) -> bytes | None:
    found = read_guest_text(guest, path)
    return found.before if isinstance(found, GuestText) else None


# what is done for one image


def _original(os: GuestOs, image: _Image) -> str | None:
    """What the image was copied from for the boot loader: the tool writes there, not to the copy's place."""
    twins = (k.initramfs for k in os.kernels if k.version == image.kernel.version and k.initramfs)
    first = next(twins, image.image)
    return first.path if first.path != image.image.path else None


def _rebuild(
    guest: GuestReader, tool: InitramfsTool, image: _Image, *, times: int, copy_of: str | None
) -> Rebuild:
    return Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=tool,
        kernel=image.kernel.version,
        path=image.image.path,
        must_hold=image.must_hold,
        estimated_bytes=image.image.size_bytes * times + _GROWTH_BYTES,
        arguments=arguments(guest, tool, image.wanted),
        stale_names=image.stale_names,
        must_keep=image.must_keep,
        copy_of=copy_of,
    )


def _appended(guest: GuestReader, os: GuestOs, image: _Image) -> Planned:
    """The drivers behind the image as it is, where no tool is known that could build it anew."""
    remedy = _BY_BOOSTER if os.initramfs_tool is InitramfsTool.BOOSTER else _BY_HAND
    why = _why(image.image, image.lacking) + ", and no tool to rebuild it is known"
    if image.image.error is not None:
        yield _lacks(image.kernel, why, remedy)
        return
    if image.lacking:
        try:
            yield build(
                guest, path=image.image.path, kernel=image.kernel.version, must_hold=image.must_hold
            ).change
        except NoAppendix as error:
            reason = f"{why}; nor can they be appended to it: {visible(str(error))}"
            yield _lacks(image.kernel, reason, remedy)
    if image.stale_names:
        hides = holds_stale_settings(guest, os, image.image)
        yield _holds_names(image.image, Level.ERROR if hides else Level.WARNING)


# what the operator is told

_OTHER_BUS = "run the machine on an emulated SATA disk and e1000e network, or install a newer kernel in it."
_MAKE_IMAGE = "build an initramfs for that kernel in the guest, or remove the kernel."
_BY_HAND = (
    "add virtio_pci, virtio_blk, virtio_scsi and sd_mod to the initramfs with the guest's own tool "
    "before the move."
)
_BY_BOOSTER = (
    'write "modules: virtio_pci,virtio_blk,virtio_scsi,sd_mod" into "/etc/booster.yaml" and run '
    '"/usr/lib/booster/regenerate_images" in the guest before the move.'
)


def _why(image: Initramfs, lacking: frozenset[str]) -> str:
    if image.error is not None:
        return f'"{visible(image.path)}" cannot be read'
    return f'"{visible(image.path)}" lacks {", ".join(sorted(lacking))}'


def _holds_names(image: Initramfs, level: Level) -> Finding:
    return Finding(
        id="initramfs-stale-names",
        level=level,
        message=f'"{visible(image.path)}" holds device names of VMware\'s, '
        "and no tool to rebuild it is known.",
        remedy="rebuild it in the guest; until then its boot may wait for a device that is not there.",
    )


def _lacks(kernel: Kernel, why: str, remedy: str, level: Level = Level.ERROR) -> Finding:
    return Finding(
        id="initramfs-lacks-virtio",
        level=level,
        message=f'the kernel "{visible(kernel.version)}" will not find a virtio disk: {why}.',
        remedy=remedy,
    )
