"""LUKS headers as cryptsetup writes them: LUKS1 On-Disk Format 1.2.3, LUKS2 On-Disk Format 1.1.1."""

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

UUID = "11111111-2222-3333-4444-555555555555"
SIZE = 16384


def luks1(uuid: str = UUID, *, active: tuple[int, ...] = (0,)) -> bytes:
    fixed = struct.pack(
        ">6sH32s32s32sII20s32sI40s",
        b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", 4096, 64, b"", b"", 1000, uuid.encode(),
    )  # fmt: skip
    slots = (
        struct.pack(">II32sII", 0x00AC71F3 if slot in active else 0x0000DEAD, 1000, b"", 8, 4000)
        for slot in range(8)
    )
    return (fixed + b"".join(slots)).ljust(4096, b"\0")


def argon2(memory_kib: int) -> dict[str, Any]:
    return {"type": "luks2", "kdf": {"type": "argon2id", "memory": memory_kib, "time": 4, "cpus": 1}}


def luks2(
    uuid: str = UUID,
    *,
    label: str = "",
    keyslots: Mapping[str, Any] | None = None,
    tokens: Mapping[str, Any] | None = None,
    area: bytes | None = None,
    size: int = SIZE,
) -> bytes:
    """Both copies of a header."""
    fields = {"keyslots": keyslots or {"0": argon2(1048576)}, "tokens": tokens or {}, "segments": {}}
    text = json.dumps(fields).encode() if area is None else area
    return b"".join(_copy(uuid, label, text, size, offset) for offset in (0, size))


def _copy(uuid: str, label: str, area: bytes, size: int, offset: int) -> bytes:
    magic = b"SKUL\xba\xbe" if offset else b"LUKS\xba\xbe"
    binary = struct.pack(
        ">6sHQQ48s32s64s40s48sQ184s64s",
        magic, 2, size, 3, label.encode(), b"sha256", b"salt", uuid.encode(), b"", offset, b"", b"",
    ).ljust(4096, b"\0")  # fmt: skip
    area = area.ljust(size - 4096, b"\0")
    checksum = hashlib.sha256(binary + area).digest().ljust(64, b"\0")
    return binary[:448] + checksum + binary[512:] + area
