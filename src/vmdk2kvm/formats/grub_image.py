"""GRUB 2 as a 64-bit UEFI program: where it looks for its configuration.

grub-mkimage(1) puts what is built in into the section "mods": a header, then objects of a type and a
size (GRUB's include/grub/kernel.h). One of them is the prefix, a folder of GRUB's own notation; a GRUB
without one takes the folder it was started from.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from vmdk2kvm.formats.pe_program import read_section

_HEADER = struct.Struct("<4s4xQQ")  # "mimg", offset of the first object, size of all
_MAGIC = b"mimg"
_OBJECT = struct.Struct("<II")  # type, size with this header
_PREFIX = 3
_MOST_BYTES = 64 * 1024 * 1024
_DEVICE_END = ")"


def prefix_folder(stream: BinaryIO) -> str | None:
    """The folder of the prefix without its device, "" for none: `(,gpt2)/boot/grub` → "/boot/grub".

    None where the file is no such program.
    """
    section = read_section(stream, b"mods", most_bytes=_MOST_BYTES)
    if section is None or len(section) < _HEADER.size or not section.startswith(_MAGIC):
        return None
    for kind, content in _objects(section):
        if kind == _PREFIX:
            text = content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            return text.rpartition(_DEVICE_END)[2]
    return ""


def _objects(section: bytes) -> Iterator[tuple[int, bytes]]:
    _, place, size_bytes = _HEADER.unpack_from(section)
    end = min(place + size_bytes, len(section))
    while place + _OBJECT.size <= end:
        kind, object_bytes = _OBJECT.unpack_from(section, place)
        if object_bytes < _OBJECT.size:
            return
        yield kind, section[place + _OBJECT.size : place + object_bytes]
        place += object_bytes
