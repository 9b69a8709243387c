"""Sparse extents: a header, a directory of tables, and tables that say where each grain lies.

Specification: VMware, Virtual Disk Format 5.0, "Hosted Sparse Extents" ("KDMV"), "ESX Server Sparse
Extents" ("COWD") and "Stream-Optimized Compressed Sparse Extents" (whose footer replaces the header).
QEMU reads past the end of a cut-off file as zeroes and, where a header claims no capacity, opens
whatever the embedded descriptor names; so both are looked for here, before QEMU sees the file.
"""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vmdk2kvm.errors import DescriptorError, ExtentError
from vmdk2kvm.formats.vmdk_tables import Read, allocated, entries
from vmdk2kvm.model.units import SECTOR_BYTES, format_bytes

HOSTED_MAGIC = b"KDMV"
ESX_MAGIC = b"COWD"
HEADER_BYTES = 512
FOOTER_BYTES = 3 * SECTOR_BYTES  # marker, footer, end-of-stream marker

_HOSTED = struct.Struct("<4sIIQQQQIQQQB4sH")
_ESX = struct.Struct("<4sIIIIIII")
_MARKER = struct.Struct("<QII")
_GRAIN_MARKER = struct.Struct("<QI")

_FLAG_LINE_END_TEST = 1 << 0
_FLAG_ZERO_GRAIN = 1 << 2
_FLAG_MARKERS = 1 << 17
_GD_AT_END = 0xFFFFFFFFFFFFFFFF
_MARKER_FOOTER = 3
_ENTRY_BYTES = 4
_ESX_TABLE_ENTRIES = 4096
_MAX_DIRECTORY_ENTRIES = 32 * 1024 * 1024  # QEMU's bound
_MAX_GRAIN_SECTORS = 65536

_COPY_AGAIN = "copy the file from VMware again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseHeader:
    """Where things lie in a sparse extent; offsets and sizes in sectors of 512 bytes."""

    capacity_sectors: int
    grain_sectors: int
    table_entries: int
    directory_offset: int
    directory_entries: int
    descriptor_offset: int = 0
    descriptor_sectors: int = 0
    overhead_sectors: int = 0  # header and tables; a file shorter than that is cut off
    compressed: bool = False
    zero_grains: bool = False
    footer_follows: bool = False


def is_sparse(start: bytes) -> bool:
    """Whether a file that starts with `start` is a sparse extent."""
    return start[:4] in {HOSTED_MAGIC, ESX_MAGIC}


def parse_header(data: bytes, *, path: Path) -> SparseHeader:
    """Read the first sector of a sparse extent; `path` is named in errors. Raises DescriptorError."""
    if len(data) < HEADER_BYTES:
        _refuse(path, "is cut off within its header", hint=_COPY_AGAIN)
    if data[:4] == HOSTED_MAGIC:
        return _parse_hosted(data, path)
    if data[:4] == ESX_MAGIC:
        return _parse_esx(data, path)
    _refuse(path, "is not a sparse extent", hint="check that the descriptor names the right file.")


def parse_footer(data: bytes, header: SparseHeader, *, path: Path) -> SparseHeader:
    """Read the last three sectors of a streamOptimized extent; the header there is the one that counts.

    Raises ExtentError where the footer or the end-of-stream marker is missing: a cut-off file.
    """
    if len(data) != FOOTER_BYTES or not _ends_whole(data):
        raise ExtentError(
            f'"{path}" has no footer and end-of-stream marker: the file is cut off.',
            hint=_COPY_AGAIN,
            path=path,
        )
    footer = parse_header(data[SECTOR_BYTES : 2 * SECTOR_BYTES], path=path)
    if footer.footer_follows or footer.capacity_sectors != header.capacity_sectors:
        _refuse(path, "has a footer that contradicts its header", hint=_COPY_AGAIN)
    return footer


def _ends_whole(data: bytes) -> bool:
    _, marker_size, marker_type = _MARKER.unpack_from(data)
    return (
        (marker_size, marker_type) == (0, _MARKER_FOOTER)
        and data[SECTOR_BYTES:][:4] == HOSTED_MAGIC
        and _MARKER.unpack_from(data, 2 * SECTOR_BYTES) == (0, 0, 0)
    )


def _parse_hosted(data: bytes, path: Path) -> SparseHeader:
    (
        _magic, version, flags, capacity, grain, descriptor_offset, descriptor_size,
        table_entries, _redundant, directory, overhead, _unclean, line_ends, compression,
    ) = _HOSTED.unpack_from(data)  # fmt: skip
    if version not in {1, 2, 3}:
        _refuse(path, f"has a sparse header of version {version}; versions 1 to 3 are known")
    if flags & _FLAG_LINE_END_TEST and line_ends != b"\n \r\n":
        _refuse(path, "was damaged by a transfer in text mode", hint="copy the file again in binary mode.")
    if compression not in {0, 1} or (compression == 1) != bool(flags & _FLAG_MARKERS):
        _refuse(path, f"is compressed in a way that is not known (algorithm {compression})")
    _check_geometry(path, capacity, grain, table_entries, max_table_entries=512)
    return SparseHeader(
        capacity_sectors=capacity,
        grain_sectors=grain,
        table_entries=table_entries,
        directory_offset=directory,
        directory_entries=-(-capacity // (grain * table_entries)),
        descriptor_offset=descriptor_offset,
        descriptor_sectors=descriptor_size,
        overhead_sectors=overhead,
        compressed=compression == 1,
        zero_grains=bool(flags & _FLAG_ZERO_GRAIN),
        footer_follows=directory == _GD_AT_END,
    )


def _parse_esx(data: bytes, path: Path) -> SparseHeader:
    _magic, version, _flags, capacity, grain, directory, entries, _free = _ESX.unpack_from(data)
    if version != 1:
        _refuse(path, f"has an ESX sparse header of version {version}; version 1 is known")
    _check_geometry(path, capacity, grain, _ESX_TABLE_ENTRIES, max_table_entries=_ESX_TABLE_ENTRIES)
    if entries * _ESX_TABLE_ENTRIES * grain < capacity:
        _refuse(path, "has a grain directory too small for its capacity")
    return SparseHeader(
        capacity_sectors=capacity,
        grain_sectors=grain,
        table_entries=_ESX_TABLE_ENTRIES,
        directory_offset=directory,
        directory_entries=entries,
    )


def _check_geometry(
    path: Path, capacity: int, grain: int, table_entries: int, *, max_table_entries: int
) -> None:
    if capacity == 0:
        # QEMU would then open whatever host file the embedded descriptor names.
        _refuse(path, "has a sparse header of capacity 0")
    if not _is_power_of_two(grain) or grain > _MAX_GRAIN_SECTORS:
        _refuse(
            path, f"has grains of {grain} sectors, which is not a power of two up to {_MAX_GRAIN_SECTORS}"
        )
    if not _is_power_of_two(table_entries) or table_entries > max_table_entries:
        _refuse(path, f"has grain tables of {table_entries} entries, which is not a power of two up to 512")
    if -(-capacity // (grain * table_entries)) > _MAX_DIRECTORY_ENTRIES:
        _refuse(path, f"claims a capacity of {capacity} sectors, more than its tables can describe")


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def check_grains(read: Read, header: SparseHeader, *, file_bytes: int, path: Path) -> None:
    """See that every table and every grain lies inside the file. Raises ExtentError.

    Holds one piece of the directory and one table at a time, whatever the size of the disk.
    """
    if header.overhead_sectors * SECTOR_BYTES > file_bytes:
        _cut_off(path, "grain", header.overhead_sectors, file_bytes)
    table_bytes = header.table_entries * _ENTRY_BYTES
    for count, offset in enumerate(_table_offsets(read, header, file_bytes, path), 1):
        if count * table_bytes > file_bytes:  # a directory that names one table again and again
            _refuse(path, "has more grain tables than fit into it")
        table = entries(read(offset * SECTOR_BYTES, table_bytes), "I")
        if len(table) != header.table_entries:
            _cut_off(path, "grain table", offset, file_bytes)
        _check_table(read, header, table, file_bytes, path)


def _table_offsets(read: Read, header: SparseHeader, file_bytes: int, path: Path) -> Iterator[int]:
    start = header.directory_offset * SECTOR_BYTES
    end = start + header.directory_entries * _ENTRY_BYTES
    if header.directory_offset == 0 or end > file_bytes:
        _cut_off(path, "grain directory", header.directory_offset, file_bytes)
    yield from allocated(read, start, end, "I")


def _check_table(read: Read, header: SparseHeader, table: "array[int]", file_bytes: int, path: Path) -> None:
    last = max(table)
    if last == 0:
        return
    if not header.zero_grains and 1 in table:
        _refuse(path, "marks a grain as zero in a header that does not allow it")
    if header.zero_grains and last == 1:
        return
    length = (
        _compressed_bytes(read, header, last, path)
        if header.compressed
        else header.grain_sectors * SECTOR_BYTES
    )
    if last * SECTOR_BYTES + length > file_bytes:
        _cut_off(path, "grain", last, file_bytes)


def _compressed_bytes(read: Read, header: SparseHeader, offset: int, path: Path) -> int:
    """The length of one compressed grain, its marker included."""
    marker = read(offset * SECTOR_BYTES, _GRAIN_MARKER.size)
    if len(marker) < _GRAIN_MARKER.size:
        return header.grain_sectors * SECTOR_BYTES
    _, size = _GRAIN_MARKER.unpack(marker)
    if not 0 < size <= 2 * header.grain_sectors * SECTOR_BYTES:
        _refuse(path, f"has a compressed grain of {size} bytes at sector {offset}", hint=_COPY_AGAIN)
    return _GRAIN_MARKER.size + int(size)


def _cut_off(path: Path, what: str, sector: int, file_bytes: int) -> NoReturn:
    raise ExtentError(
        f'"{path}" is cut off: its {format_bytes(file_bytes)} end before a {what} at sector {sector}.',
        hint=_COPY_AGAIN,
        path=path,
    )


def _refuse(path: Path, what: str, *, hint: str = "copy the disk's files from VMware again.") -> NoReturn:
    raise DescriptorError(f'"{path}" {what}.', hint=hint, path=path)
