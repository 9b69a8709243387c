"""The initramfs finds the root file system on virtio (initramfs-tools(7), dracut.conf(5)).

An image made on VMware may hold VMware's drivers only. It is rebuilt by the guest's own tool where
a driver lacks, and where a device name that no longer holds is baked into it; else it is left alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, with_text
from vmdk2kvm.fixes.rebuild import REBUILDERS
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.kernel_modules import normalised, parse_dependencies, with_dependencies
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import Rebuild, RebuildKind, WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, Initramfs, InitramfsTool, Kernel
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB

WANTED = (
    "virtio",
    "virtio_ring",
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "sd_mod",
    "ahci",
    "nvme",
)
BOOT_CRITICAL = frozenset({"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"})
DISK_DRIVERS = frozenset({"virtio_blk", "virtio_scsi"})

MODULES_FILE = "/etc/initramfs-tools/modules"
RESUME_FILE = "/etc/initramfs-tools/conf.d/resume"
RESUME_IN_IMAGE = "conf/conf.d/resume"
MODULES_POLICY = "/etc/initramfs-tools/conf.d/vmdk2kvm"
DRACUT_DROP_IN = "/etc/dracut.conf.d/90-vmdk2kvm.conf"

# Where the tools take the names from that they bake into an image.
_BAKED_FROM = (
    "/etc/fstab",
    "/etc/crypttab",
    "/etc/cmdline",
    "/etc/cmdline.d/*",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/conf.d/*",
    "/etc/lvm/devices/system.devices",
    "/etc/modules-load.d/*",
)
_POLICY_FILES = (
    "/etc/initramfs-tools/initramfs.conf",
    "/usr/share/initramfs-tools/conf.d/*",
    "/etc/initramfs-tools/conf.d/*",
)
_POLICY = re.compile(r"^[ \t]*MODULES=[\"']?(\w+)", re.MULTILINE)
_WORD_BORDER = re.compile(rb"[\s=,;:\"']+")

_GROWTH_BYTES = 16 * MIB
_DEP_TO_MOST = 3  # an image of all drivers is about three times one for a single machine


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """A kernel whose image has to be built anew; `lacking` may be empty."""

    kernel: Kernel
    image: Initramfs
    must_hold: frozenset[str]
    lacking: frozenset[str]

    @property
    def to_add(self) -> frozenset[str]:
        """Drivers to ask the tool for: with one lacking, the others' absence is no choice either."""
        wanted = _as_modules(self.kernel, frozenset(WANTED))
        return wanted - self.image.modules if self.lacking else frozenset()


def plan(guest: GuestReader, os: GuestOs) -> Planned:
    images: list[_Image] = []
    for index, kernel in enumerate(k for k in os.kernels if not _is_special(k.version)):
        found = _examine(guest, os, kernel, newest=index == 0)
        if isinstance(found, Finding):
            yield found
        elif found is not None:
            images.append(found)
    if not images:
        return
    policy_is_dep = os.initramfs_tool is InitramfsTool.INITRAMFS_TOOLS and _policy(guest) == "dep"
    if os.initramfs_tool is InitramfsTool.INITRAMFS_TOOLS:
        yield from _settings_of_initramfs_tools(guest, images, policy_is_dep=policy_is_dep)
    else:
        yield from _settings_of_dracut(guest, images)
    for image in images:
        yield _rebuild(os, image, growth=_DEP_TO_MOST if policy_is_dep else 1)


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
    if not lacking and image.error is None and not _holds_stale_names(guest, image):
        return None
    if os.initramfs_tool not in REBUILDERS:
        return _lacks(kernel, _why(image, lacking) + ", and no tool to rebuild it is known", _BY_HAND)
    return _Image(kernel=kernel, image=image, must_hold=critical, lacking=lacking)


def _is_special(version: str) -> bool:
    """Rescue and crash kernels have images of their own kind."""
    return "rescue" in version or "kdump" in version


def _as_modules(kernel: Kernel, names: frozenset[str]) -> frozenset[str]:
    return (names & kernel.available) - kernel.builtin


def _critical(guest: GuestReader, kernel: Kernel) -> frozenset[str]:
    """The modules without which this kernel does not reach a virtio disk, with all they need."""
    needed = with_dependencies(_as_modules(kernel, BOOT_CRITICAL), _dependencies(guest, kernel))
    return _as_modules(kernel, needed)


def _dependencies(guest: GuestReader, kernel: Kernel) -> dict[str, frozenset[str]]:
    try:
        return parse_dependencies(guest.read_text(f"/lib/modules/{kernel.version}/modules.dep"))
    except (FileNotFoundError, GuestError):
        return {}  # the tool resolves them itself; ours only make the proof stricter


def _holds_stale_names(guest: GuestReader, image: Initramfs) -> bool:
    """Whether a new image would differ in a device name from this one."""
    files = dict(image.files)
    resume = files.get(RESUME_IN_IMAGE)
    configured = _content(guest, RESUME_FILE)
    if resume is not None and configured is not None and resume != configured:
        return True
    baked = {word for content in files.values() for word in _hostile_words(content)}
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


# what the tool is told


def _settings_of_initramfs_tools(
    guest: GuestReader, images: Sequence[_Image], *, policy_is_dep: bool
) -> Planned:
    names = _in_wanted_order(images)
    found = read_guest_text(guest, MODULES_FILE)
    if isinstance(found, Finding):
        yield found
    elif names:
        yield from _with_modules(found, names)
    if policy_is_dep:  # "dep" looks at the machine the tool runs on, which is not the guest's own
        yield from _file(guest, MODULES_POLICY, "MODULES=most\n")


def _with_modules(found: GuestText | None, names: Sequence[str]) -> Planned:
    """/etc/initramfs-tools/modules: one module and its parameters a line (initramfs-tools(7))."""
    text = found.text if found else ""
    listed = {normalised(line.split()[0]) for line in text.split("\n") if line.split()}
    missing = [name for name in names if name not in listed]
    if not missing:
        return
    joint = "" if not text or text.endswith("\n") else "\n"
    after = f"{text}{joint}# drivers of KVM's disks and network\n" + "".join(f"{name}\n" for name in missing)
    if found:
        yield with_text(found, after)
    else:
        yield WriteFile(path=MODULES_FILE, before=None, after=after.encode())


def _settings_of_dracut(guest: GuestReader, images: Sequence[_Image]) -> Planned:
    names = _in_wanted_order(images)
    if names:
        yield from _file(guest, DRACUT_DROP_IN, f'add_drivers+=" {" ".join(names)} "\n')


def _file(guest: GuestReader, path: str, text: str) -> Planned:
    """A file that is wholly ours."""
    found = read_guest_text(guest, path)
    if isinstance(found, Finding):
        yield found
    elif found is None or found.text != text:
        yield WriteFile(path=path, before=found.before if found else None, after=text.encode())


def _in_wanted_order(images: Sequence[_Image]) -> list[str]:
    to_add = frozenset().union(*(image.to_add for image in images))
    return [name for name in WANTED if name in to_add]


def _policy(guest: GuestReader) -> str:
    """The MODULES= that holds: the last one of the files in the order mkinitramfs reads them."""
    policy = "most"
    for path in (path for pattern in _POLICY_FILES for path in guest.glob(pattern)):
        found = _POLICY.findall((_content(guest, path) or b"").decode("utf-8", "replace"))
        policy = found[-1] if found else policy
    return policy


def _rebuild(os: GuestOs, image: _Image, *, growth: int) -> Rebuild:
    assert os.initramfs_tool is not None
    return Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=os.initramfs_tool,
        kernel=image.kernel.version,
        path=image.image.path,
        must_hold=image.must_hold,
        estimated_bytes=image.image.size_bytes * growth + _GROWTH_BYTES,
    )


# what the operator is told

_OTHER_BUS = "run the machine on an emulated SATA disk and e1000e network, or install a newer kernel in it."
_MAKE_IMAGE = "build an initramfs for that kernel in the guest, or remove the kernel."
_BY_HAND = (
    "add virtio_pci, virtio_blk, virtio_scsi and sd_mod to the initramfs with the guest's own tool "
    "before the move."
)


def _why(image: Initramfs, lacking: frozenset[str]) -> str:
    if image.error is not None:
        return f'"{visible(image.path)}" cannot be read'
    if lacking:
        return f'"{visible(image.path)}" lacks {", ".join(sorted(lacking))}'
    return f'"{visible(image.path)}" holds device names of VMware\'s'


def _lacks(kernel: Kernel, why: str, remedy: str, level: Level = Level.ERROR) -> Finding:
    return Finding(
        id="initramfs-lacks-virtio",
        level=level,
        message=f'the kernel "{visible(kernel.version)}" will not find a virtio disk: {why}.',
        remedy=remedy,
    )
