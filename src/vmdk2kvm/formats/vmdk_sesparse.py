"""seSparse extents: snapshots as ESXi 6.5 and later keep them on VMFS 6.

VMware has not published the layout; this follows the reader in QEMU (block/vmdk.c), which takes
grains of 4 KiB and tables of 4096 entries only, and cannot replay a journal.
"""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vmdk2kvm.errors import DescriptorError, ExtentError
from vmdk2kvm.formats.vmdk_tables import Read, allocated, entries
from vmdk2kvm.model.units import SECTOR_BYTES

HEADER_BYTES = SECTOR_BYTES

_MAGIC = 0xCAFEBABE
_VERSION = 0x200000001
_VOLATILE_MAGIC = 0xCAFECAFE
_HEADER = struct.Struct("<26Q")
_VOLATILE = struct.Struct("<4Q")
_GRAIN_SECTORS = 8
_TABLE_SECTORS = 64
_TABLE_ENTRIES = 4096
_ENTRY_BYTES = 8

_ALLOCATED = 3  # the top four bits of an entry: 0 absent, 1 unmapped, 2 zero, 3 allocated
_LOW_48 = (1 << 48) - 1

_COPY_AGAIN = "copy the file from VMware again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SeSparseHeader:
    """Offsets and sizes in sectors of 512 bytes."""

    capacity_sectors: int
    volatile_offset: int
    directory_offset: int
    directory_sectors: int
    tables_offset: int
    grains_offset: int


def is_sesparse(start: bytes) -> bool:
    return start[:8] == _MAGIC.to_bytes(8, "little")


def parse_header(data: bytes, *, path: Path) -> SeSparseHeader:
    """Raises DescriptorError; `path` is only named in it."""
    if len(data) < HEADER_BYTES:
        _refuse(path, "is cut off within its header")
    fields = _HEADER.unpack_from(data)
    magic, version, capacity, grain, table = fields[:5]
    if (magic, version, grain, table) != (_MAGIC, _VERSION, _GRAIN_SECTORS, _TABLE_SECTORS):
        _refuse(path, "has a seSparse header of a kind that is not known")
    header = SeSparseHeader(
        capacity_sectors=capacity,
        volatile_offset=fields[10],
        directory_offset=fields[16],
        directory_sectors=fields[17],
        tables_offset=fields[18],
        grains_offset=fields[24],
    )
    covered = header.directory_sectors * (SECTOR_BYTES // _ENTRY_BYTES) * _TABLE_ENTRIES * _GRAIN_SECTORS
    if not 0 < capacity <= covered:
        _refuse(path, f"has a seSparse header of capacity {capacity}, which its tables do not describe")
    return header


def check_grains(read: Read, header: SeSparseHeader, *, file_bytes: int, path: Path) -> None:
    """See that the journal is empty and every table and grain lies inside the file.

    Raises DescriptorError, ExtentError. Holds one piece of the directory and one table at a time.
    """
    _check_journal(read(header.volatile_offset * SECTOR_BYTES, SECTOR_BYTES), path)
    table_bytes = _TABLE_ENTRIES * _ENTRY_BYTES
    for count, index in enumerate(_table_indexes(read, header, file_bytes, path), 1):
        if count * table_bytes > file_bytes:
            _refuse(path, "has more grain tables than fit into it")
        table = entries(read(header.tables_offset * SECTOR_BYTES + index * table_bytes, table_bytes), "Q")
        if len(table) != _TABLE_ENTRIES:
            _cut_off(path, "grain table")
        if _end_of_grains(header, table) * SECTOR_BYTES > file_bytes:
            _cut_off(path, "grain")


def _check_journal(data: bytes, path: Path) -> None:
    if len(data) < _VOLATILE.size:
        _cut_off(path, "header")
    magic, _, _, replay = _VOLATILE.unpack_from(data)
    if magic != _VOLATILE_MAGIC:
        _refuse(path, "has no seSparse volatile header")
    if replay:
        raise DescriptorError(
            f'"{path}" was not closed: its journal still has to be replayed.',
            hint="shut the VM down in VMware, then copy the disk again.",
            path=path,
        )


def _table_indexes(read: Read, header: SeSparseHeader, file_bytes: int, path: Path) -> Iterator[int]:
    start = header.directory_offset * SECTOR_BYTES
    end = start + header.directory_sectors * SECTOR_BYTES
    if end > file_bytes:
        _cut_off(path, "grain directory")
    for entry in allocated(read, start, end, "Q"):
        if entry >> 32 != 0x10000000:
            _refuse(path, "has a damaged grain directory")
        yield entry & 0xFFFFFFFF


def _end_of_grains(header: SeSparseHeader, table: "array[int]") -> int:
    """The first sector behind the table's last grain.

    The number of a grain has its low 12 bits in bits 48 to 59 and the rest below them.
    """
    last = max(
        ((entry & _LOW_48) << 12 | (entry >> 48) & 0xFFF for entry in table if entry >> 60 == _ALLOCATED),
        default=-1,
    )
    return 0 if last < 0 else header.grains_offset + (last + 1) * _GRAIN_SECTORS


def _cut_off(path: Path, what: str) -> NoReturn:
    raise ExtentError(f'"{path}" is cut off: it ends before a {what}.', hint=_COPY_AGAIN, path=path)


def _refuse(path: Path, what: str) -> NoReturn:
    raise DescriptorError(f'"{path}" {what}.', hint=_COPY_AGAIN, path=path)
