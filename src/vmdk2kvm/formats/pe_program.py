"""Programs for UEFI firmware (PE format, "COFF File Header", "Section Table"): where a section lies."""

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_DOS_HEADER = struct.Struct("<2s58xI")  # "MZ" and where the PE header stands
_PE_HEADER = struct.Struct("<4s2xH12xH2x")  # "PE", number of sections, size of the optional header
_SECTION = struct.Struct("<8sIIII16x")  # name, size in memory, address, size in the file, its place
_MOST_SECTIONS = 96  # what Windows' loader takes


def read_section(stream: BinaryIO, name: bytes, *, most_bytes: int) -> bytes | None:
    """The first `most_bytes` of a section; None where it is missing or the file is no such program."""
    found = section(stream, name)
    return None if found is None else found.read(most_bytes)


def section(stream: BinaryIO, name: bytes) -> BinaryIO | None:
    """A section as a stream of its own over `stream`, which nobody else may move meanwhile."""
    for found in _sections(stream):
        if found[0].rstrip(b"\0") == name:
            in_memory, _, in_file, place = found[1:]
            return io.BufferedReader(_Part(stream, place, min(in_memory or in_file, in_file)))
    return None


class _Part(io.RawIOBase):
    def __init__(self, stream: BinaryIO, start: int, size_bytes: int) -> None:
        self._stream = stream
        self._start = start
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        self._stream.seek(self._start + self._position)
        piece = self._stream.read(min(len(target), max(0, self._size_bytes - self._position)))
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _sections(stream: BinaryIO) -> list[tuple[bytes, int, int, int, int]]:
    stream.seek(0)
    dos = stream.read(_DOS_HEADER.size)
    if len(dos) < _DOS_HEADER.size or not dos.startswith(b"MZ"):
        return []
    start = _DOS_HEADER.unpack(dos)[1]
    stream.seek(start)
    header = stream.read(_PE_HEADER.size)
    if len(header) < _PE_HEADER.size or not header.startswith(b"PE\0\0"):
        return []
    _, count, optional_bytes = _PE_HEADER.unpack(header)
    stream.seek(start + _PE_HEADER.size + optional_bytes)
    table = stream.read(min(count, _MOST_SECTIONS) * _SECTION.size)
    return list(_SECTION.iter_unpack(table[: len(table) // _SECTION.size * _SECTION.size]))
