"""Unified kernel images (UAPI.5): a PE program whose sections hold kernel, initramfs and arguments.

(PE format, "COFF File Header", "Section Table".) The image is often signed as a whole, so its arguments
are read here and never changed.
"""

import struct
from typing import BinaryIO

_DOS_HEADER = struct.Struct("<2s58xI")  # "MZ" and where the PE header stands
_PE_HEADER = struct.Struct("<4s2xH12xH2x")  # "PE", number of sections, size of the optional header
_SECTION = struct.Struct("<8sIIII16x")  # name, size in memory, address, size in the file, its place
_MOST_SECTIONS = 96  # what Windows' loader takes
_MOST_ARGUMENTS_BYTES = 64 * 1024


def embedded_arguments(stream: BinaryIO) -> str | None:
    """What stands in the section .cmdline; None where there is none, or the file is no such program."""
    found = _section(stream, b".cmdline")
    if found is None:
        return None
    offset, size_bytes = found
    stream.seek(offset)
    raw = stream.read(min(size_bytes, _MOST_ARGUMENTS_BYTES))
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape").strip()


def _section(stream: BinaryIO, name: bytes) -> tuple[int, int] | None:
    """Place and size of a section in the file."""
    dos = stream.read(_DOS_HEADER.size)
    if len(dos) < _DOS_HEADER.size or not dos.startswith(b"MZ"):
        return None
    start = _DOS_HEADER.unpack(dos)[1]
    stream.seek(start)
    header = stream.read(_PE_HEADER.size)
    if len(header) < _PE_HEADER.size or not header.startswith(b"PE\0\0"):
        return None
    _, count, optional_bytes = _PE_HEADER.unpack(header)
    stream.seek(start + _PE_HEADER.size + optional_bytes)
    table = stream.read(min(count, _MOST_SECTIONS) * _SECTION.size)
    for section in _SECTION.iter_unpack(table[: len(table) // _SECTION.size * _SECTION.size]):
        if section[0].rstrip(b"\0") == name:
            return section[4], min(section[1] or section[3], section[3])
    return None
