"""The tables of sparse extents: little-endian numbers side by side, 32 bits wide or, in seSparse, 64."""

import sys
from array import array
from collections.abc import Callable, Iterator
from typing import Literal

Read = Callable[[int, int], bytes]  # (offset, length) in bytes; short at the end of the file

_PIECE_BYTES = 64 * 1024


def entries(data: bytes, width: Literal["I", "Q"]) -> "array[int]":
    """The whole numbers in `data`; "I" is 32 bits, "Q" 64."""
    table = array(width)
    table.frombytes(data[: len(data) // table.itemsize * table.itemsize])
    if sys.byteorder == "big":
        table.byteswap()
    return table


def allocated(read: Read, start: int, end: int, width: Literal["I", "Q"]) -> Iterator[int]:
    """The entries other than 0 of a directory between two offsets, one piece of it in memory at a time."""
    for offset in range(start, end, _PIECE_BYTES):
        yield from filter(None, entries(read(offset, min(_PIECE_BYTES, end - offset)), width))
