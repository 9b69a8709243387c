"""Which kernels a guest can boot and what their initramfs images hold.

/boot and /lib/modules are read, never the package database: it may be damaged, and it does not
know what really lies there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats import boot_entry, initramfs, kernel_version
from vmdk2kvm.formats.boot_entry import Entry
from vmdk2kvm.formats.fat_names import any_case
from vmdk2kvm.formats.kernel_modules import module_of_path, parse_builtin, parse_dependencies
from vmdk2kvm.formats.machine_code import SETUP_BYTES, bzimage_release
from vmdk2kvm.guest.protocol import FileType, GuestReader, optional_text
from vmdk2kvm.model.guest_os import Initramfs, InitramfsTool, Kernel

_IMAGES = (
    "/boot/vmlinuz-*",
    "/boot/vmlinux-*",
    "/boot/Image-*",
    "/boot/kernel-*",
)
_ENTRIES = any_case("/loader/entries/*.conf")
_INSTALLED_IMAGES = "/*/*/linux"  # kernel-install(8): machine or distribution, then version
_NOT_FOR_USE = ("rescue", "kdump")
_INITRAMFS = (
    "/boot/initrd.img-{version}",
    "/boot/initramfs-{version}.img",
    "/boot/initrd-{version}",
    "/boot/initrd-{version}.img",
    "/boot/initramfs-{version}",
    "/boot/initramfs-{flavour}.img",
    "/boot/initramfs-{flavour}",
    "/boot/booster-{flavour}.img",
)
_INSTALLED_INITRAMFS = ("{folder}/initrd", "{folder}/initrd.img-{version}")
_TOOLS = (
    (InitramfsTool.INITRAMFS_TOOLS, ("/usr/sbin/update-initramfs", "/usr/sbin/mkinitramfs")),
    (InitramfsTool.DRACUT, ("/usr/bin/dracut",)),
    (InitramfsTool.DRACUT, ("/usr/sbin/dracut",)),
    (InitramfsTool.DRACUT, ("/sbin/dracut",)),
    (InitramfsTool.MKINITCPIO, ("/usr/bin/mkinitcpio",)),
    (InitramfsTool.MKINITFS, ("/sbin/mkinitfs",)),
    (InitramfsTool.MKINITRD, ("/sbin/mkinitrd",)),
    (InitramfsTool.BOOSTER, ("/usr/bin/booster",)),
)
MAX_KERNELS = 32  # opening an image takes seconds; older ones are not booted
Known = Mapping[str, Initramfs]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bootable:
    """A kernel image; `initramfs` where a boot entry says which belongs to it."""

    version: str
    image: str
    initramfs: str | None = None


def read_kernels(guest: GuestReader, known: Known, partitions: tuple[str, ...] = ()) -> tuple[Kernel, ...]:
    """Newest first. An image in `known` (by path) that is unchanged is not opened again.

    A kernel that was copied to one of the boot `partitions` comes after the one it was copied from:
    each has an initramfs of its own.
    """
    modules = {path.rpartition("/")[2] for path in guest.glob("/lib/modules/*")}
    found: dict[tuple[str, str], _Bootable] = {}
    for image in (path for pattern in _IMAGES for path in guest.glob(pattern)):
        version = _version(guest, image, modules)
        if version is not None and _is_file(guest, image):
            found.setdefault((version, ""), _Bootable(version=version, image=image))
    seen = {each.image for each in found.values()}
    for copy in _copies(guest, modules, partitions):
        if copy.image not in seen:
            found.setdefault((copy.version, copy.initramfs or copy.image), copy)
    newest = sorted(found.values(), key=lambda each: _newest(each.version), reverse=True)[:MAX_KERNELS]
    return tuple(_kernel(guest, each, known) for each in newest)


def _copies(guest: GuestReader, modules: set[str], partitions: tuple[str, ...]) -> Iterator[_Bootable]:
    """What boot entries start, then what lies in kernel-install's folders and no entry names."""
    named: set[str] = set()
    for folder in dict.fromkeys(("/boot", *partitions)):
        for path in guest.glob(f"{folder}{_ENTRIES}"):
            copy = _of_entry(guest, modules, folder, boot_entry.parse(optional_text(guest, path) or ""))
            if copy is not None:
                named.add(copy.image)
                yield copy
        for image in guest.glob(f"{folder}{_INSTALLED_IMAGES}"):
            version = None if image in named else _version(guest, image, modules)
            if version is not None:
                yield _Bootable(version=version, image=image)


def _of_entry(guest: GuestReader, modules: set[str], folder: str, entry: Entry) -> _Bootable | None:
    """None for a rescue kernel, and one that is not there. The last initramfs is the system's own."""
    image = _below(guest, folder, entry.linux)
    if image is None:
        return None
    version = _version(guest, image, modules)
    if entry.version in modules and not _is_special(image):
        version = entry.version
    initramfs = [path for each in entry.initrds if (path := _below(guest, folder, each))]
    if version is None:
        return None
    return _Bootable(version=version, image=image, initramfs=initramfs[-1] if initramfs else None)


def _below(guest: GuestReader, folder: str, path: str) -> str | None:
    """Where an entry's path leads: the partition it lies on is mounted at `folder`, or is the root's."""
    found = (each for each in (f"{folder}/{path.lstrip('/')}", path) if path and guest.exists(each))
    return next(found, None)


def initramfs_tool(guest: GuestReader, kernels: tuple[Kernel, ...]) -> InitramfsTool | None:
    """The tool that is installed; of several, the one that built the newest image.

    dracut brings a /sbin/mkinitrd of its own, which only calls it.
    """
    tools = [tool for tool, programs in _TOOLS if all(_is_program(guest, path) for path in programs)]
    builder = next((kernel.initramfs.builder for kernel in kernels if kernel.initramfs), None)
    if builder in tools and builder is not InitramfsTool.MKINITRD:
        return builder
    if InitramfsTool.INITRAMFS_TOOLS in tools and len(tools) > 1:
        return tools[1]
    return tools[0] if tools else None


def _newest(version: str) -> kernel_version.Key:
    return kernel_version.sort_key(version)


def _version(guest: GuestReader, image: str, installed: set[str]) -> str | None:
    """The release, None for a rescue kernel and one without its modules."""
    folder, _, name = image.rpartition("/")
    if _is_special(image):
        return None
    named = folder.rpartition("/")[2] if name == "linux" else name.partition("-")[2]
    for version in (named, named.removesuffix(".gz")):
        if version in installed:
            return version
    written = _written_release(guest, image)
    return written if written in installed else None


def _is_special(image: str) -> bool:
    return any(word in image for word in _NOT_FOR_USE)


def _written_release(guest: GuestReader, image: str) -> str | None:
    """What the image says itself: Arch and Alpine name the file by flavour ("vmlinuz-lts")."""
    try:
        with guest.open(image) as stream:
            return bzimage_release(stream.read(SETUP_BYTES))
    except (FileNotFoundError, GuestError):
        return None


def _kernel(guest: GuestReader, found: _Bootable, known: Known) -> Kernel:
    folder = f"/lib/modules/{found.version}"
    dependencies = optional_text(guest, f"{folder}/modules.dep")
    return Kernel(
        version=found.version,
        image=found.image,
        initramfs=_initramfs(guest, found, known),
        available=_available(guest, folder) if dependencies is None else frozenset(_modules(dependencies)),
        builtin=parse_builtin(optional_text(guest, f"{folder}/modules.builtin") or ""),
    )


def _modules(dependencies: str) -> Iterator[str]:
    yield from parse_dependencies(dependencies)


def _available(guest: GuestReader, folder: str) -> frozenset[str]:
    return frozenset(filter(None, map(module_of_path, guest.list_tree(folder))))


def _initramfs(guest: GuestReader, found: _Bootable, known: Known) -> Initramfs | None:
    folder, _, name = found.image.rpartition("/")
    fields = {"version": found.version, "flavour": name.partition("-")[2], "folder": folder}
    patterns = (*_INSTALLED_INITRAMFS, *_INITRAMFS) if name == "linux" else _INITRAMFS
    paths = (pattern.format(**fields) for pattern in patterns)
    path = found.initramfs or next((path for path in paths if guest.exists(path)), None)
    if path is None:
        return None
    try:
        return _described(guest, path, known.get(path))
    except (FileNotFoundError, GuestError) as error:
        return Initramfs(path=path, size_bytes=0, compression="", modules=frozenset(), error=str(error))


def _described(guest: GuestReader, path: str, before: Initramfs | None) -> Initramfs:
    stat = guest.stat(guest.realpath(path))
    if before and (before.size_bytes, before.mtime_s) == (stat.size_bytes, stat.mtime_s):
        return before
    with guest.open(path) as stream:
        return replace(initramfs.describe(path, stat.size_bytes, stream), mtime_s=stat.mtime_s)


def _is_file(guest: GuestReader, path: str) -> bool:
    try:
        return guest.stat(guest.realpath(path)).type is FileType.REGULAR
    except (FileNotFoundError, GuestError):
        return False


def _is_program(guest: GuestReader, path: str) -> bool:
    try:
        stat = guest.stat(guest.realpath(path))
    except (FileNotFoundError, GuestError):
        return False
    return stat.type is FileType.REGULAR and stat.mode & 0o111 != 0
