"""cpio archives as the kernel unpacks them: "newc" and "crc" (cpio(5), initramfs buffer format).

Reads forward only and keeps no more than one member's name in memory. What is written is newc, owned
by root, and the same bytes for the same members.
"""

import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from vmdk2kvm.errors import GuestError

MAGICS = (b"070701", b"070702")
HEADER_BYTES = 110
TRAILER = b"TRAILER!!!"
MAX_NAME_BYTES = 4096  # PATH_MAX: the kernel skips longer names
ALIGNMENT = 4


class InitramfsError(GuestError):
    """An image that cannot be read to its end."""


class Source(Protocol):
    """Bytes read once, from front to back."""

    @property
    def position(self) -> int: ...

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""

    def skip(self, size: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive; `content` is None where nobody wanted it."""

    name: str
    mode: int
    size_bytes: int
    content: bytes | None


def read_members(source: Source, wanted: Callable[[str, int], bool]) -> Iterator[Member]:
    """The members of the archive that starts here, up to its trailer; the source then stands behind it.

    `wanted(name, size_bytes)` says whether to read a member's content. Raises InitramfsError.
    """
    start = source.position
    while True:
        header = _exactly(source, HEADER_BYTES)
        if header[:6] not in MAGICS:
            raise bad_image(f"no cpio header stands at byte {source.position - HEADER_BYTES}")
        mode, size_bytes, name_bytes = (_field(header, index) for index in (1, 6, 11))
        name = _name(source, name_bytes)
        _align(source, start)
        if name == TRAILER:
            source.skip(size_bytes)
            return
        text = name.decode("utf-8", "surrogateescape")
        content = _exactly(source, size_bytes) if wanted(text, size_bytes) else None
        if content is None:
            source.skip(size_bytes)
        _align(source, start)
        yield Member(name=text, mode=mode, size_bytes=size_bytes, content=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A regular file, or a folder where `content` is None."""

    name: str
    content: bytes | None


def render_archive(members: Iterable[NewMember]) -> bytes:
    """One whole archive. A folder has to stand in front of what is in it."""
    out = bytearray()
    for inode, member in enumerate(members, 1):
        mode = stat.S_IFDIR | 0o755 if member.content is None else stat.S_IFREG | 0o644
        _write(out, member.name.encode("utf-8", "surrogateescape"), inode, mode, member.content or b"")
    _write(out, TRAILER, 0, 0, b"")
    return bytes(out)


def _write(out: bytearray, name: bytes, inode: int, mode: int, content: bytes) -> None:
    # links, like everything the kernel compares hard links by, are those of a file of its own
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    out += MAGICS[0] + b"".join(b"%08X" % field for field in fields) + name + b"\0"
    out += bytes(-len(out) % ALIGNMENT) + content
    out += bytes(-len(out) % ALIGNMENT)


def bad_image(reason: str) -> InitramfsError:
    return InitramfsError(
        f"the initramfs cannot be read: {reason}.",
        hint="rebuild it in the guest, or leave the kernel out of the boot menu.",
    )


def _field(header: bytes, index: int) -> int:
    """The header's fields are eight hex digits each, behind the magic."""
    digits = header[6 + 8 * index : 14 + 8 * index]
    if digits.strip(b"0123456789abcdefABCDEF"):
        raise bad_image("a cpio header holds something other than hex digits")
    return int(digits, 16)


def _name(source: Source, size_bytes: int) -> bytes:
    if not 1 <= size_bytes <= MAX_NAME_BYTES:
        raise bad_image(f"a member's name has {size_bytes} bytes")
    return _exactly(source, size_bytes).partition(b"\0")[0]


def _align(source: Source, start: int) -> None:
    source.skip(-(source.position - start) % ALIGNMENT)


def _exactly(source: Source, size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise bad_image("it is cut off")
    return content
