"""Programs for UEFI firmware (PE format, "COFF File Header", "Section Table"): where a section lies."""

import struct
from typing import BinaryIO

_DOS_HEADER = struct.Struct("<2s58xI")  # "MZ" and where the PE header stands
_PE_HEADER = struct.Struct("<4s2xH12xH2x")  # "PE", number of sections, size of the optional header
_SECTION = struct.Struct("<8sIIII16x")  # name, size in memory, address, size in the file, its place
_MOST_SECTIONS = 96  # what Windows' loader takes


def read_section(stream: BinaryIO, name: bytes, *, most_bytes: int) -> bytes | None:
    """The first `most_bytes` of a section; None where it is missing or the file is no such program."""
    for section in _sections(stream):
        if section[0].rstrip(b"\0") == name:
            in_memory, _, in_file, place = section[1:]
            stream.seek(place)
            return stream.read(min(in_memory or in_file, in_file, most_bytes))
    return None


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
