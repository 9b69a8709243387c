"""The compressions of kernel images as bounded streams: gzip, xz, lzma, bzip2, zstd, lz4.

A few bytes can unpack to gigabytes, so every step asks for a bounded piece of output and the
reader, not the image, decides how far it goes.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from vmdk2kvm.formats.cpio import bad_image
from vmdk2kvm.model.units import KIB, MIB

INPUT_BYTES = 64 * KIB
OUTPUT_BYTES = 256 * KIB
# libzstd's stream has no bound on output: a block is 4 bytes at least and 128 KiB at most, so
# this much input gives 8 MiB in the worst case.
ZSTD_INPUT_BYTES = 256
ZSTD_WINDOW_BYTES = 128 * MIB
LZMA_MEMORY_BYTES = 128 * MIB
LZ4_BLOCK_BYTES = 8 * MIB  # the legacy frame's fixed block size
LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"


class Window:
    """Chunks as one run of bytes, with a look ahead and a way to hand bytes back."""

    def __init__(self, chunks: Iterator[bytes], stream: BinaryIO | None = None) -> None:
        self._chunks = chunks
        self._stream = stream
        self._ahead = b""
        self._start = 0
        self.position = 0

    @classmethod
    def over_stream(cls, stream: BinaryIO) -> "Window":
        """`stream` has to be seekable; long gaps are then not read."""
        return cls(iter(lambda: stream.read(INPUT_BYTES), b""), stream)

    def peek(self, size: int) -> bytes:
        self._fill(size)
        return self._ahead[self._start : self._start + size]

    def read(self, size: int) -> bytes:
        taken = self.peek(size)
        self._advance(len(taken))
        return taken

    def chunk(self) -> bytes:
        """The next bytes, as many as are at hand; b"" at the end."""
        self._fill(1)
        return self.read(len(self._ahead) - self._start)

    def unread(self, content: bytes) -> None:
        """Hand back what was read last."""
        self._ahead = content + self._ahead[self._start :]
        self._start = 0
        self.position -= len(content)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; the end is met by whoever reads next."""
        at_hand = min(size, len(self._ahead) - self._start)
        self._advance(at_hand)
        rest = size - at_hand
        if rest and self._stream is not None:
            self._stream.seek(rest, 1)
            self.position += rest
            return
        while rest and (chunk := next(self._chunks, b"")):
            taken = min(rest, len(chunk))
            self._ahead, self._start = chunk, taken
            self.position += taken
            rest -= taken

    def skip_zeros(self) -> bool:
        """Pass over padding; whether anything is left."""
        while chunk := self.chunk():
            if chunk != bytes(len(chunk)):  # memcmp: far faster than a strip of long padding
                self.unread(chunk.lstrip(b"\0"))
                return True
        return False

    def _advance(self, size: int) -> None:
        self._start += size
        self.position += size

    def _fill(self, size: int) -> None:
        at_hand = len(self._ahead) - self._start
        if at_hand >= size:
            return
        parts = [self._ahead[self._start :]]
        while at_hand < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            at_hand += len(chunk)
        self._ahead, self._start = b"".join(parts), 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """`unpack(window)` yields the output and leaves the window behind the compressed part."""

    name: str
    magic: bytes
    unpack: Callable[[Window], Iterator[bytes]]


class _Engine(Protocol):
    """What lzma and bz2 offer and the others are made to."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._zstd = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._zstd.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._zstd.unused_data + bytes(self._waiting)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        del max_length
        if data:
            self._waiting = memoryview(data)
        piece, self._waiting = self._waiting[:ZSTD_INPUT_BYTES], self._waiting[ZSTD_INPUT_BYTES:]
        return self._zstd.decompress(piece)


def _lz4_frame() -> _Engine:
    import lz4.frame

    engine: _Engine = lz4.frame.LZ4FrameDecompressor()
    return engine


def _stream_errors(name: str) -> tuple[type[Exception], ...]:
    """What a decompressor raises on bytes it does not understand."""
    if name == "zstd":
        import zstandard

        return (zstandard.ZstdError,)
    # bz2 says OSError, lz4 RuntimeError
    return (zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError)


def _streamed(name: str, magic: bytes, new: Callable[[], _Engine]) -> Compression:
    return Compression(name=name, magic=magic, unpack=lambda window: _unpack(window, name, magic, new))


def _unpack(window: Window, name: str, magic: bytes, new: Callable[[], _Engine]) -> Iterator[bytes]:
    """Parallel compressors write several frames for one archive; they are read as one."""
    errors = _stream_errors(name)
    while window.peek(len(magic)) == magic:
        engine = new()
        while not engine.eof:
            data = window.chunk() if engine.needs_input else b""
            if not data and engine.needs_input:
                raise bad_image(f"its {name} stream is cut off")
            try:
                output = engine.decompress(data, OUTPUT_BYTES)
            except errors as error:
                raise bad_image(f"its {name} stream is damaged") from error
            if output:
                yield output
        window.unread(engine.unused_data or b"")  # lz4 says None for nothing


def _unpack_lz4_legacy(window: Window) -> Iterator[bytes]:
    """Blocks with their size in front, to the end of the image or to zeros (lz4 frame format, legacy)."""
    import lz4.block

    largest = LZ4_BLOCK_BYTES + LZ4_BLOCK_BYTES // 255 + 16
    while size_field := window.read(4):
        if size_field == LZ4_LEGACY_MAGIC:
            continue
        size_bytes = int.from_bytes(size_field, "little")
        if size_bytes == 0:
            window.unread(size_field)
            return
        block = window.read(size_bytes) if size_bytes <= largest else b""
        if len(block) < size_bytes:
            raise bad_image("its lz4 stream is cut off")
        try:
            yield lz4.block.decompress(block, uncompressed_size=LZ4_BLOCK_BYTES)
        except lz4.block.LZ4BlockError as error:
            raise bad_image("its lz4 stream is damaged") from error


def unpacked(content: bytes, limit_bytes: int) -> bytes:
    """A small file whose first bytes say how it is compressed; one that is not comes back as it is.

    Raises InitramfsError for damage and for more than `limit_bytes`.
    """
    compression = next((each for each in COMPRESSIONS if content.startswith(each.magic)), None)
    if compression is None:
        return content
    pieces, size_bytes = [], 0
    for piece in compression.unpack(Window(iter((content,)))):
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            raise bad_image("a file in it unpacks to more than any module does")
        pieces.append(piece)
    return b"".join(pieces)


COMPRESSIONS = (
    _streamed("gzip", b"\x1f\x8b", _Gzip),
    _streamed("xz", b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY_BYTES)),
    _streamed("zstd", b"\x28\xb5\x2f\xfd", _Zstd),
    Compression(name="lz4", magic=LZ4_LEGACY_MAGIC, unpack=_unpack_lz4_legacy),
    _streamed("lz4", b"\x04\x22\x4d\x18", _lz4_frame),
    _streamed("bzip2", b"BZh", bz2.BZ2Decompressor),
    _streamed("lzma", b"\x5d\0\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY_BYTES)),
)
