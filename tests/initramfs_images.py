"""Small initramfs images, packed as boot images really are."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Mapping

import lz4.block
import lz4.frame
import zstandard

LEGACY_LZ4_MAGIC = b"\x02\x21\x4c\x18"
LEGACY_LZ4_BLOCK_BYTES = 8 << 20


REGULAR, LINK = 0o100644, 0o120777


def cpio(
    files: Mapping[str, bytes], *, magic: bytes = b"070701", trailer: bool = True, mode: int = REGULAR
) -> bytes:
    """A newc (or, with magic 070702, crc) archive."""
    members = [
        _member(magic, inode, name, content, mode) for inode, (name, content) in enumerate(files.items(), 1)
    ]
    return b"".join(members) + (_member(magic, 0, "TRAILER!!!", b"", 0) if trailer else b"")


def module_files(names: Iterable[str], version: str = "6.1.0-13-amd64") -> dict[str, bytes]:
    return {f"usr/lib/modules/{version}/kernel/drivers/{name}.ko": name.encode() for name in names}


def image(
    names: Iterable[str], files: Mapping[str, bytes] | None = None, *, compression: str = "zstd"
) -> bytes:
    """An image of these modules and files, with microcode in front as Debian's have it."""
    early = cpio({"kernel/x86/microcode/GenuineIntel.bin": b"\x01" * 100})
    main = COMPRESSORS[compression](cpio({**module_files(names), **(files or {})}))
    return early + bytes(-len(early) % 512) + main


def _member(magic: bytes, inode: int, name: str, content: bytes, mode: int) -> bytes:
    raw_name = name.encode("utf-8", "surrogateescape") + b"\0"
    check = sum(content) & 0xFFFFFFFF if magic == b"070702" else 0
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw_name), check)
    header = magic + b"".join(b"%08x" % field for field in fields)
    return _padded(header + raw_name) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def _lz4_legacy(content: bytes) -> bytes:
    """As `lz4 -l`, which the kernel's build uses: independent blocks, their sizes in front."""
    pieces = [
        content[start : start + LEGACY_LZ4_BLOCK_BYTES]
        for start in range(0, len(content), LEGACY_LZ4_BLOCK_BYTES)
    ]
    blocks = [lz4.block.compress(piece, store_size=False) for piece in pieces]
    return LEGACY_LZ4_MAGIC + b"".join(len(block).to_bytes(4, "little") + block for block in blocks)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "xz": lambda content: lzma.compress(content, check=lzma.CHECK_CRC32, preset=0),
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE, preset=0),
    "zstd": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
    "lz4": _lz4_legacy,
    "lz4-frame": lambda content: lz4.frame.compress(content, content_checksum=True),
    "bzip2": bz2.compress,
}
