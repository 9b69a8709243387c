"""modules.dep.bin, modules.alias.bin: what depmod(8) writes for modprobe(8) (kmod, index format 2.1).

A tree of byte strings: each node has a prefix, a run of children by their next byte, and values with
a priority. Children are written before their parents, so offsets only ever fall on the way down.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vmdk2kvm.model.units import MIB

MAGIC = 0xB007F457
VERSION = 0x00020001
_PREFIX, _VALUES, _CHILDREN, _OFFSET = 0x80000000, 0x40000000, 0x20000000, 0x0FFFFFFF
_HEADER_BYTES = 12
MAX_KEY_BYTES = 300  # aliases of PCI devices have about 70
MAX_NODES = 500_000  # a kernel of a distribution has about 60,000
MAX_TEXT_BYTES = 32 * MIB  # keys and values together: about 2 MiB


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Entry:
    """`priority` is the place in modules.order; of several values the lowest comes first."""

    priority: int
    key: str
    value: str


def is_index(content: bytes) -> bool:
    """Whether this is an index of our format: older programs wrote another, and read the text beside it."""
    return content[:6] == struct.pack(">IH", MAGIC, VERSION >> 16)


def parse(content: bytes) -> list[Entry]:
    """Every entry by priority. Raises ValueError for anything but an index of this format."""
    if not is_index(content):
        raise ValueError("no index of kernel modules")
    try:
        (root,) = struct.unpack_from(">I", content, 8)
        return sorted(_entries(content, root))
    except (struct.error, IndexError) as error:
        raise ValueError("an index of kernel modules is cut off") from error


def render(entries: Iterable[Entry]) -> bytes:
    """The index of `entries`. Raises ValueError for a key or value no index can hold."""
    ordered = sorted((_checked(entry), entry) for entry in entries)
    out = bytearray(_HEADER_BYTES)
    root = _write(out, ordered, 0) if ordered else 0
    struct.pack_into(">III", out, 0, MAGIC, VERSION, root)
    return bytes(out)


def _checked(entry: Entry) -> bytes:
    key = entry.key.encode("utf-8", "surrogateescape")
    if not key or len(key) > MAX_KEY_BYTES or max(key) > 127 or 0 in key or "\0" in entry.value:
        raise ValueError(f"no key of an index: {entry.key[:40]!r}")
    return key


def _write(out: bytearray, entries: Sequence[tuple[bytes, Entry]], depth: int) -> int:
    """Write the node of `entries`, which agree in their first `depth` bytes; gives where it is.

    Goes as deep as the longest key, which is bounded for that.
    """
    first, last = entries[0][0], entries[-1][0]  # sorted: what these share, all share
    end = depth
    while end < min(len(first), len(last)) and first[end] == last[end]:
        end += 1
    own = [entry for key, entry in entries if len(key) == end]
    groups: dict[int, list[tuple[bytes, Entry]]] = {}
    for item in entries[len(own) :]:
        groups.setdefault(item[0][end], []).append(item)
    children = {byte: _write(out, group, end + 1) for byte, group in groups.items()}
    at = len(out)
    if end > depth:
        at |= _PREFIX
        out += first[depth:end] + b"\0"
    if children:
        at |= _CHILDREN
        low, high = min(children), max(children)
        out += bytes((low, high))
        out += b"".join(struct.pack(">I", children.get(byte, 0)) for byte in range(low, high + 1))
    if own:
        at |= _VALUES
        out += struct.pack(">I", len(own)) + b"".join(map(_value, own))
    return at


def _value(entry: Entry) -> bytes:
    return struct.pack(">I", entry.priority) + entry.value.encode("utf-8", "surrogateescape") + b"\0"


def _entries(content: bytes, root: int) -> Iterable[Entry]:
    waiting = [(root, b"", len(content))]
    nodes, room_bytes = 0, MAX_TEXT_BYTES
    while waiting:
        offset, key, below = waiting.pop()
        nodes += 1
        at = offset & _OFFSET
        if at == 0:
            continue
        if nodes + len(waiting) > MAX_NODES or at >= below or len(key) > MAX_KEY_BYTES:
            raise ValueError("an index of kernel modules does not end")
        place = at
        if offset & _PREFIX:
            end = content.index(b"\0", place, place + MAX_KEY_BYTES + 1)
            key += content[place:end]
            place = end + 1
        if offset & _CHILDREN:
            low, high = content[place], content[place + 1]
            count = max(0, high - low + 1)
            offsets = struct.unpack_from(f">{count}I", content, place + 2)
            waiting.extend(
                (child, key + bytes((low + nth,)), at) for nth, child in enumerate(offsets) if child
            )
            place += 2 + 4 * count
        if offset & _VALUES:
            for entry in _values(content, place, key):
                room_bytes -= len(entry.key) + len(entry.value) + 1
                if room_bytes < 0:
                    raise ValueError("an index of kernel modules does not end")
                yield entry


def _values(content: bytes, place: int, key: bytes) -> Iterable[Entry]:
    (count,) = struct.unpack_from(">I", content, place)
    place += 4
    for _ in range(count):
        (priority,) = struct.unpack_from(">I", content, place)
        end = content.index(b"\0", place + 4)
        yield Entry(
            priority=priority,
            key=key.decode("utf-8", "surrogateescape"),
            value=content[place + 4 : end].decode("utf-8", "surrogateescape"),
        )
        place = end + 1
