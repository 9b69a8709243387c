"""Which kernels a guest can boot and what their initramfs images hold.

/boot and /lib/modules are read, never the package database: it may be damaged, and it does not
know what really lies there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats import initramfs, kernel_version
from vmdk2kvm.formats.kernel_modules import module_of_path, parse_builtin, parse_dependencies
from vmdk2kvm.formats.machine_code import SETUP_BYTES, bzimage_release
from vmdk2kvm.guest.protocol import FileType, GuestReader, optional_text
from vmdk2kvm.model.guest_os import Initramfs, InitramfsTool, Kernel

_IMAGES = (
    "/boot/vmlinuz-*",
    "/boot/vmlinux-*",
    "/boot/Image-*",
    "/boot/kernel-*",
    "/boot/*/*/linux",
)
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
    "{folder}/initrd",
)
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
Known = Mapping[str, Initramfs]


def read_kernels(guest: GuestReader, known: Known) -> tuple[Kernel, ...]:
    """Newest first. An image in `known` (by path) that is unchanged is not opened again."""
    installed = {path.rpartition("/")[2] for path in guest.glob("/lib/modules/*")}
    found: dict[str, Kernel] = {}
    for image in (path for pattern in _IMAGES for path in guest.glob(pattern)):
        version = _version(guest, image, installed)
        if version is not None and version not in found:
            found[version] = _kernel(guest, image, version, known)
    return tuple(sorted(found.values(), key=lambda kernel: _newest(kernel.version), reverse=True))


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
    if any(word in image for word in _NOT_FOR_USE):
        return None
    named = folder.rpartition("/")[2] if name == "linux" else name.partition("-")[2]
    for version in (named, named.removesuffix(".gz")):
        if version in installed:
            return version
    written = _written_release(guest, image)
    return written if written in installed else None


def _written_release(guest: GuestReader, image: str) -> str | None:
    """What the image says itself: Arch and Alpine name the file by flavour ("vmlinuz-lts")."""
    try:
        with guest.open(image) as stream:
            return bzimage_release(stream.read(SETUP_BYTES))
    except (FileNotFoundError, GuestError):
        return None


def _kernel(guest: GuestReader, image: str, version: str, known: Known) -> Kernel:
    folder = f"/lib/modules/{version}"
    dependencies = optional_text(guest, f"{folder}/modules.dep")
    return Kernel(
        version=version,
        image=image,
        initramfs=_initramfs(guest, image, version, known),
        available=_available(guest, folder) if dependencies is None else frozenset(_modules(dependencies)),
        builtin=parse_builtin(optional_text(guest, f"{folder}/modules.builtin") or ""),
    )


def _modules(dependencies: str) -> Iterator[str]:
    yield from parse_dependencies(dependencies)


def _available(guest: GuestReader, folder: str) -> frozenset[str]:
    return frozenset(filter(None, map(module_of_path, guest.list_tree(folder))))


def _initramfs(guest: GuestReader, image: str, version: str, known: Known) -> Initramfs | None:
    folder, _, name = image.rpartition("/")
    fields = {"version": version, "flavour": name.partition("-")[2], "folder": folder}
    paths = (pattern.format(**fields) for pattern in _INITRAMFS)
    path = next((path for path in paths if guest.exists(path)), None)
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


def _is_program(guest: GuestReader, path: str) -> bool:
    try:
        stat = guest.stat(guest.realpath(path))
    except (FileNotFoundError, GuestError):
        return False
    return stat.type is FileType.REGULAR and stat.mode & 0o111 != 0
