"""Headers of LUKS volumes (LUKS1 On-Disk Format Specification 1.2.3, LUKS2 1.1.1).

LUKS1 is one binary header. LUKS2 has a binary header and a JSON area under one checksum, twice: the
second copy stands where the first one ends, and is read where the first is damaged.
"""

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

from vmdk2kvm.model.luks import Keyslot, LuksHeader
from vmdk2kvm.model.units import KIB, MIB

Read = Callable[[int, int], bytes]  # (offset, size in bytes) → the bytes there, fewer at the end

_MAGIC = b"LUKS\xba\xbe"
_SECOND_MAGIC = b"SKUL\xba\xbe"
_BINARY_BYTES = 4096
_SIZES = tuple(16 * KIB << shift for shift in range(9))  # with the JSON area: 16 KiB to 4 MiB
_LUKS1 = struct.Struct(">6sH32s32s32sII20s32sI40s")
_LUKS1_SLOT = struct.Struct(">II32sII")
_LUKS1_ENABLED = 0x00AC71F3
_LUKS1_SLOTS = 8
_LUKS2 = struct.Struct(">6sHQQ48s32s64s40s48sQ184s64s")
_CHECKSUM_AT = 448
_MAX_SLOTS = 32
_MAX_MEMORY_KIB = 4 * MIB  # cryptsetup takes no more
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class LuksError(ValueError):
    """Not a header that can be believed; the text says what is wrong."""


def read_header(read: Read) -> LuksHeader:
    """The header at the start of a volume. Raises LuksError."""
    start = read(0, _BINARY_BYTES)
    version = int.from_bytes(start[6:8], "big")
    if start.startswith(_MAGIC) and version == 1:
        return _luks1(start)
    if start.startswith(_MAGIC) and version != 2:
        raise LuksError(f"version {version} of LUKS is not known")
    return _luks2(read)


def _luks1(start: bytes) -> LuksHeader:
    if len(start) < _LUKS1.size + _LUKS1_SLOTS * _LUKS1_SLOT.size:
        raise LuksError("the header is cut off")
    uuid = _uuid(_LUKS1.unpack_from(start)[10])
    slots = (
        _LUKS1_SLOT.unpack_from(start, _LUKS1.size + number * _LUKS1_SLOT.size)
        for number in range(_LUKS1_SLOTS)
    )
    active = (number for number, slot in enumerate(slots) if slot[0] == _LUKS1_ENABLED)
    keyslots = tuple(Keyslot(number=number, kdf="pbkdf2") for number in active)
    return LuksHeader(version=1, uuid=uuid, keyslots=keyslots)


def _luks2(read: Read) -> LuksHeader:
    problems: list[str] = []
    for offset in (0, *_SIZES):
        try:
            return _luks2_at(read, offset)
        except LuksError as error:
            problems.append(str(error))
    raise LuksError(problems[0])


def _luks2_at(read: Read, offset: int) -> LuksHeader:
    binary = read(offset, _BINARY_BYTES)
    if len(binary) < _BINARY_BYTES or not binary.startswith(_SECOND_MAGIC if offset else _MAGIC):
        raise LuksError("there is no header")
    _, version, size, _, label, algorithm, _, uuid, _, stands_at, _, checksum = _LUKS2.unpack_from(binary)
    if version != 2 or size not in _SIZES or stands_at != offset:
        raise LuksError("the header contradicts itself")
    area = read(offset + _BINARY_BYTES, size - _BINARY_BYTES)
    if checksum[:32] != _checksum(binary, area, _text(algorithm)):
        raise LuksError("the header's checksum is wrong")
    keyslots, tokens = _json(area)
    name = _text(label) or None
    return LuksHeader(version=2, uuid=_uuid(uuid), label=name, keyslots=keyslots, tokens=tokens)


def _checksum(binary: bytes, area: bytes, algorithm: str) -> bytes:
    if algorithm != "sha256":
        raise LuksError("the header's checksum is of an unknown kind")
    return hashlib.sha256(binary[:_CHECKSUM_AT] + bytes(64) + binary[_CHECKSUM_AT + 64 :] + area).digest()


def _json(area: bytes) -> tuple[tuple[Keyslot, ...], tuple[str, ...]]:
    """What the JSON area says; it is at most 4 MiB, for its header is."""
    text = area.partition(b"\0")[0]
    try:
        fields = json.loads(text)
        slots = sorted((_number(name), slot) for name, slot in fields["keyslots"].items())
        tokens = [fields.get("tokens", {})[name]["type"] for name in sorted(fields.get("tokens", {}))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LuksError("the header's JSON area is not what it should be") from error
    if len(slots) > _MAX_SLOTS or len(tokens) > _MAX_SLOTS or not all(isinstance(one, str) for one in tokens):
        raise LuksError("the header's JSON area is not what it should be")
    return tuple(_keyslots(slots)), tuple(tokens)


def _number(name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) <= 2):
        raise ValueError(name)
    return int(name)


def _keyslots(slots: list[tuple[int, Any]]) -> Iterator[Keyslot]:
    for number, slot in slots:
        kdf = slot.get("kdf", {"type": "none"}) if isinstance(slot, dict) else None
        kind = kdf.get("type") if isinstance(kdf, dict) else None
        memory_kib = kdf.get("memory", 0) if isinstance(kdf, dict) else None
        if not isinstance(kind, str) or type(memory_kib) is not int:
            raise LuksError(f"keyslot {number} says nothing of its kind")
        if not 0 <= memory_kib <= _MAX_MEMORY_KIB:
            raise LuksError(f"keyslot {number} asks for {memory_kib} KiB of memory")
        yield Keyslot(number=number, kdf=kind, memory_kib=memory_kib)


def _uuid(field: bytes) -> str:
    text = _text(field)
    if not _UUID.fullmatch(text):
        raise LuksError("the header has no UUID")
    return text.lower()


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")
