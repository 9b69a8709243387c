"""initramfs images: what is in them (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

An image is a row of cpio archives, each bare (early microcode) or compressed, with zeros between
them. Memory stays flat and hostile images end in InitramfsError: output, members and names are bounded.
"""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import BinaryIO

from vmdk2kvm.formats.cpio import MAGICS, InitramfsError, Member, bad_image, read_members
from vmdk2kvm.formats.decompress import COMPRESSIONS, Compression, Window
from vmdk2kvm.formats.initramfs_builder import builder_of
from vmdk2kvm.formats.kernel_modules import module_of_path
from vmdk2kvm.model.guest_os import Initramfs, InitramfsTool
from vmdk2kvm.model.units import GIB, KIB, MIB

__all__ = ["InitramfsContents", "InitramfsError", "describe", "scan"]

MAX_UNPACKED_BYTES = 2 * GIB
MAX_MEMBERS = 300_000
MAX_KEPT_BYTES = 16 * MIB  # names of modules and small files together
MAX_FILE_BYTES = 256 * KIB  # LVM's own lvm.conf has 110

# Configuration baked into an image: initramfs-tools' conf, dracut's etc.
FILES_OF_INTEREST = (
    "conf/conf.d/*",
    "conf/modules",
    "conf/initramfs.conf",
    "cryptroot/crypttab",
    "etc/cmdline",
    "etc/cmdline.d/*",
    "etc/crypttab",
    "etc/fstab",
    "etc/fstab.empty",
    "etc/fstab.sys",
    "etc/lvm/devices/system.devices",
    "etc/lvm/lvm.conf",
    "etc/lvm/lvmlocal.conf",
    "etc/mdadm.conf",
    "etc/mdadm/mdadm.conf",
    "etc/modules-load.d/*",
    "etc/systemd/network/*.link",
    "*lib/udev/rules.d/80-net-setup-link.rules",
)
# What modprobe(8) reads, and the lists of what to load: for those who add modules or prove them.
INDEXES = tuple(
    f"{folder}lib/modules/*/modules.{name}"
    for folder in ("", "usr/")
    for name in ("dep", "dep.bin", "alias", "alias.bin", "builtin", "softdep")
)
LOAD_LISTS = ("conf/modules", "config", "etc/modules")
MAX_INDEX_BYTES = 4 * MIB
_MODULE_FOLDER = re.compile(r"((?:usr/)?lib/modules/[^/]+)/.")


@dataclass(frozen=True, slots=True, kw_only=True)
class InitramfsContents:
    """`compression` is that of the last archive; `files` are the small files of interest by path.

    `module_folders` are the "lib/modules/VERSION" there are, as the image spells them; `indexes` are
    modprobe's files and the load lists, where they were asked for; `last_unpacked_bytes` is how much
    the last compressed part held, `trailing_bytes` how many zeros follow the last part.
    """

    compression: str
    modules: frozenset[str]
    files: Mapping[str, bytes]
    member_count: int
    builder: InitramfsTool | None = None
    module_folders: frozenset[str] = frozenset()
    indexes: Mapping[str, bytes] = field(default_factory=dict)
    last_unpacked_bytes: int = 0
    trailing_bytes: int = 0


def scan(
    stream: BinaryIO, *, max_unpacked_bytes: int = MAX_UNPACKED_BYTES, indexes: bool = False
) -> InitramfsContents:
    """Read an image from its first byte to its last. Raises InitramfsError."""
    found = _Found(room_bytes=max_unpacked_bytes, wants_indexes=indexes)
    image = Window.over_stream(stream)
    end = 0
    while image.skip_zeros():
        segment = _segment(image)
        if segment is None:
            found.compression = found.compression or "none"
            found.take(read_members(image, found.wants))
        else:
            found.compression = segment.name
            before_bytes = found.room_bytes
            found.take_all(Window(found.bounded(segment.unpack(image))))
            found.last_unpacked_bytes = before_bytes - found.room_bytes
        end = image.position
    if not found.compression:
        raise bad_image("it holds no archive")
    return InitramfsContents(
        compression=found.compression,
        modules=frozenset(found.modules),
        files=found.files,
        member_count=found.members,
        builder=found.builder,
        module_folders=frozenset(found.module_folders),
        indexes=found.indexes,
        last_unpacked_bytes=found.last_unpacked_bytes,
        trailing_bytes=image.position - end,
    )


def describe(path: str, size_bytes: int, stream: BinaryIO) -> Initramfs:
    """An image as a fact about a guest; one that cannot be read says why in `error`."""
    try:
        contents = scan(stream)
    except InitramfsError as error:
        return Initramfs(
            path=path, size_bytes=size_bytes, compression="", modules=frozenset(), error=error.message
        )
    return Initramfs(
        path=path,
        size_bytes=size_bytes,
        compression=contents.compression,
        modules=contents.modules,
        files=tuple(sorted(contents.files.items())),
        builder=contents.builder,
    )


def _segment(image: Window) -> Compression | None:
    """How the archive that starts here is compressed, None for a bare one."""
    start = image.peek(8)
    if start.startswith(MAGICS):
        return None
    for compression in COMPRESSIONS:
        if start.startswith(compression.magic):
            return compression
    raise bad_image(f"an archive starts with the unknown bytes {start.hex()}")


@dataclass(slots=True, kw_only=True)
class _Found:
    """What a scan has gathered so far, and how much it may still gather."""

    room_bytes: int
    wants_indexes: bool = False
    compression: str = ""
    last_unpacked_bytes: int = 0
    builder: InitramfsTool | None = None
    module_folders: set[str] = field(default_factory=set)
    indexes: dict[str, bytes] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    members: int = 0
    kept_bytes: int = 0

    def wants(self, name: str, size_bytes: int) -> bool:
        plain = _plain(name)
        if self.wants_indexes and _is_index(plain):
            return size_bytes <= MAX_INDEX_BYTES
        return size_bytes <= MAX_FILE_BYTES and _is_of_interest(plain)

    def bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.room_bytes -= len(chunk)
            if self.room_bytes < 0:
                raise bad_image("it unpacks to more than any boot image does")
            yield chunk

    def take_all(self, unpacked: Window) -> None:
        """The archives of one compressed segment, which may hold several."""
        while unpacked.skip_zeros():
            if not unpacked.peek(6).startswith(MAGICS):
                raise bad_image("a compressed part holds no cpio archive")
            self.take(read_members(unpacked, self.wants))

    def take(self, members: Iterator[Member]) -> None:
        for member in members:
            self.members += 1
            if self.members > MAX_MEMBERS:
                raise bad_image(f"it holds more than {MAX_MEMBERS} files")
            content = member.content if stat.S_ISREG(member.mode) else None  # a link holds its target
            self._take_member(_plain(member.name), content)

    def _take_member(self, name: str, content: bytes | None) -> None:
        self.builder = self.builder or builder_of(name)
        module = module_of_path(name)
        if module is not None and module not in self.modules:
            self._keep(len(module))
            self.modules.add(module)
        folder = _MODULE_FOLDER.match(name)
        if folder and folder[1] not in self.module_folders:
            self._keep(len(folder[1]))
            self.module_folders.add(folder[1])
        if content is not None:
            self._keep(len(name) + len(content))
            if _is_of_interest(name):
                self.files[name] = content
            if self.wants_indexes and _is_index(name):
                self.indexes[name] = content

    def _keep(self, size_bytes: int) -> None:
        self.kept_bytes += size_bytes
        if self.kept_bytes > MAX_KEPT_BYTES:
            raise bad_image("its names and settings are larger than any boot image's")


def _is_index(name: str) -> bool:
    return name in LOAD_LISTS or ("lib/modules/" in name and any(fnmatchcase(name, each) for each in INDEXES))


def _plain(name: str) -> str:
    return name.removeprefix(".").lstrip("/")


def _is_of_interest(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in FILES_OF_INTEREST)
