"""How each tool for initramfs images is told to put drivers in, now and at the guest's next kernel update."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, with_text
from vmdk2kvm.formats import initramfs_settings as form
from vmdk2kvm.formats.kernel_modules import parse_files
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import WriteFile
from vmdk2kvm.model.guest_os import InitramfsTool, Kernel
from vmdk2kvm.model.report import Finding

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
MODULES_FILE = "/etc/initramfs-tools/modules"
MODULES_POLICY = "/etc/initramfs-tools/conf.d/vmdk2kvm"
DRACUT_DROP_IN = "/etc/dracut.conf.d/90-vmdk2kvm.conf"
DRACUT_CONF = ("/etc/dracut.conf", "/etc/dracut.conf.d/*.conf")
MKINITCPIO_CONF = "/etc/mkinitcpio.conf"
MKINITCPIO_DROP_INS = "/etc/mkinitcpio.conf.d"
MKINITCPIO_DROP_IN = f"{MKINITCPIO_DROP_INS}/zz-vmdk2kvm.conf"
MKINITCPIO_PRESETS = "/etc/mkinitcpio.d/*.preset"
MKINITFS_CONF = "/etc/mkinitfs/mkinitfs.conf"
MKINITFS_FEATURE = "vmdk2kvm"
MKINITFS_MODULES = f"/etc/mkinitfs/features.d/{MKINITFS_FEATURE}.modules"
SUSE_KERNEL_SETTINGS = "/etc/sysconfig/kernel"

_POLICY_FILES = (
    "/etc/initramfs-tools/initramfs.conf",
    "/usr/share/initramfs-tools/conf.d/*",
    "/etc/initramfs-tools/conf.d/*",
)
_POLICY = re.compile(r"^[ \t]*MODULES=[\"']?(\w+)", re.MULTILINE)
_COMPRESSED = re.compile(r"\.ko(\.\w+)?$")
_MOST_TO_DEP = 3  # an image of all drivers is about three times one for a single machine
_WHOLE_TO_AUTODETECT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An image to build, and the modules to ask its tool for; `names` may be empty.

    `kept` are drivers that the old image has: a tool that looks at the machine it runs on would drop them.
    """

    kernel: Kernel
    path: str
    names: tuple[str, ...]
    kept: tuple[str, ...] = ()


def settings(
    guest: GuestReader, tool: InitramfsTool, images: Sequence[Wanted], kernels: Sequence[Kernel]
) -> Planned:
    """The edits by which `tool` puts the modules in, in every image it builds for `kernels` from now on."""
    match tool:
        case InitramfsTool.INITRAMFS_TOOLS:
            yield from _of_initramfs_tools(guest, images)
        case InitramfsTool.DRACUT:
            yield from _of_dracut(guest, images, kernels)
        case InitramfsTool.MKINITCPIO:
            yield from _of_mkinitcpio(guest, images, kernels)
        case InitramfsTool.MKINITFS:
            yield from _of_mkinitfs(guest, images)
        case InitramfsTool.MKINITRD:
            yield from _of_mkinitrd(guest, images, kernels)


def arguments(guest: GuestReader, tool: InitramfsTool, image: Wanted) -> tuple[str, ...]:
    """What the tool is told on its command line, beside the kernel and the image."""
    match tool:
        case InitramfsTool.DRACUT if image.names or image.kept:
            return ("--add-drivers", " ".join(image.names or image.kept))
        case InitramfsTool.MKINITCPIO:
            config = _config_of(guest, image.path)
            return ("-c", config) if config else ()
        case InitramfsTool.MKINITRD:
            return ("-k", image.kernel.image.rpartition("/")[2])
        case _:
            return ()


def growth(guest: GuestReader, tool: InitramfsTool) -> int:
    """How many times as large as the old image the new one may be."""
    if tool is InitramfsTool.MKINITCPIO:
        return _WHOLE_TO_AUTODETECT
    return _MOST_TO_DEP if tool is InitramfsTool.INITRAMFS_TOOLS and _policy(guest) == "dep" else 1


# the tools


def _of_initramfs_tools(guest: GuestReader, images: Sequence[Wanted]) -> Planned:
    names = _all_names(images)
    if names:
        yield from _edited(guest, MODULES_FILE, lambda text: form.with_listed(text, names), new=True)
    else:
        yield from _unreadable(guest, MODULES_FILE)
    if _policy(guest) == "dep":  # which looks at the machine the tool runs on, not at the guest's own
        yield from _edited(guest, MODULES_POLICY, lambda _: "MODULES=most\n", new=True)


def _of_dracut(guest: GuestReader, images: Sequence[Wanted], kernels: Sequence[Kernel]) -> Planned:
    names = _shared_names(images, kernels)  # old releases stop at one that is missing
    if not names:
        return
    for path in dict.fromkeys(path for pattern in DRACUT_CONF for path in guest.glob(pattern)):
        yield from _edited(guest, path, lambda text: form.without_omitted(text, names))
    drop_in = f'add_drivers+=" {" ".join(names)} "\n'
    yield from _edited(guest, DRACUT_DROP_IN, lambda _: drop_in, new=True)


def _of_mkinitcpio(guest: GuestReader, images: Sequence[Wanted], kernels: Sequence[Kernel]) -> Planned:
    """A drop-in where this version reads them, else a line in each configuration that is used.

    MODULES is a list or, in old files, one string of words; without its quotes it is read as both.
    """
    names = _shared_names(images, kernels)
    if not names:
        return
    line = f"MODULES=(${{MODULES[@]}} {' '.join(names)})"
    for config in dict.fromkeys(_config_of(guest, image.path) for image in images):
        if config is None and guest.exists(MKINITCPIO_DROP_INS):
            # the last one, because another may set MODULES anew
            yield from _edited(
                guest, MKINITCPIO_DROP_IN, lambda text: form.with_own_line(text, line), new=True
            )
        else:
            path = config or MKINITCPIO_CONF
            yield from _edited(guest, path, lambda text: form.with_own_line(text, line))


def _of_mkinitfs(guest: GuestReader, images: Sequence[Wanted]) -> Planned:
    """A feature of our own: the modules by their files, in whatever form the next kernel has them."""
    files = "".join(f"{path}\n" for path in dict.fromkeys(_module_files(guest, images)))
    if files:
        yield from _edited(guest, MKINITFS_MODULES, lambda _: files, new=True)
        line = f'features="$features {MKINITFS_FEATURE}"'
        yield from _edited(guest, MKINITFS_CONF, lambda text: form.with_own_line(text, line))


def _of_mkinitrd(guest: GuestReader, images: Sequence[Wanted], kernels: Sequence[Kernel]) -> Planned:
    names = _shared_names(images, kernels, builtin_fails=True)
    if names:
        yield from _edited(
            guest, SUSE_KERNEL_SETTINGS, lambda text: form.with_initrd_modules(text, names), new=True
        )


# what they share


def _all_names(images: Sequence[Wanted]) -> list[str]:
    asked = frozenset().union(*(image.names for image in images))
    return [name for name in WANTED if name in asked]


def _shared_names(
    images: Sequence[Wanted], kernels: Sequence[Kernel], *, builtin_fails: bool = False
) -> list[str]:
    """For tools that fail over a module which one of the kernels has not, or has only built in."""
    present = [kernel.available if builtin_fails else kernel.available | kernel.builtin for kernel in kernels]
    return [name for name in _all_names(images) if all(name in each for each in present)]


def _module_files(guest: GuestReader, images: Sequence[Wanted]) -> Iterator[str]:
    """The files of the modules below /lib/modules/VERSION, as patterns for any compression."""
    for image in images:
        try:
            files = parse_files(guest.read_text(f"/lib/modules/{image.kernel.version}/modules.dep"))
        except (FileNotFoundError, GuestError):
            continue  # the proof of the new image tells what is amiss
        for name in image.names:
            if name in files:
                yield _COMPRESSED.sub(".ko*", files[name].path)


def _config_of(guest: GuestReader, image: str) -> str | None:
    """The configuration a preset of mkinitcpio names for `image`."""
    for path in guest.glob(MKINITCPIO_PRESETS):
        try:
            return form.config_of_image(_text(guest, path), image)
        except KeyError:
            continue
    return None


def _policy(guest: GuestReader) -> str:
    """The MODULES= that holds: the last one of the files in the order mkinitramfs reads them."""
    policy = "most"
    for path in (path for pattern in _POLICY_FILES for path in guest.glob(pattern)):
        found = _POLICY.findall(_text(guest, path))
        policy = found[-1] if found else policy
    return policy


def _edited(guest: GuestReader, path: str, edit: Callable[[str], str], *, new: bool = False) -> Planned:
    """`path` with its text edited; `new` makes a file that is not there."""
    found = read_guest_text(guest, path)
    if isinstance(found, Finding):
        yield found
    elif found is not None:
        after = edit(found.text)
        if after != found.text:
            yield with_text(found, after)
    elif new:
        yield WriteFile(path=path, before=None, after=edit("").encode())


def _unreadable(guest: GuestReader, path: str) -> Planned:
    found = read_guest_text(guest, path)
    if isinstance(found, Finding):
        yield found


def _text(guest: GuestReader, path: str) -> str:
    found = read_guest_text(guest, path)
    return found.text if isinstance(found, GuestText) else ""
