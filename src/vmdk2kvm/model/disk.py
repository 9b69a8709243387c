"""Disks: what a source is made of, and what a run writes."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class OutputFormat(Enum):
    QCOW2 = "qcow2"
    RAW = "raw"
    VDI = "vdi"

    @property
    def suffix(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file a source disk reads: enough to see later whether it is still the same."""

    path: Path
    size_bytes: int
    mtime_ns: int


class ExtentType(Enum):
    """How the sectors of one extent are stored."""

    FLAT = "FLAT"
    VMFS = "VMFS"  # flat, on an ESXi datastore
    ZERO = "ZERO"  # no file: reads as zeroes
    SPARSE = "SPARSE"  # hosted sparse, "KDMV"
    VMFSSPARSE = "VMFSSPARSE"  # ESXi snapshot, "COWD"
    SESPARSE = "SESPARSE"  # ESXi snapshot on VMFS 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceExtent:
    """A run of sectors of one layer; `file` is None for ZERO, `offset_sectors` counts for flat ones."""

    type: ExtentType
    size_sectors: int
    file: SourceFile | None = None
    offset_sectors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLayer:
    """One link of a snapshot chain: a descriptor and its extents; `parent_cid` is None for the base."""

    descriptor: SourceFile
    cid: int
    parent_cid: int | None
    extents: tuple[SourceExtent, ...]

    @property
    def size_sectors(self) -> int:
        return sum(extent.size_sectors for extent in self.extents)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChain:
    """One source disk as found on disk, newest layer first; what it claims is not yet verified."""

    index: int
    name: str
    layers: tuple[SourceLayer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskView:
    """One source disk as one coherent, read-only view: the whole chain verified and resolved.

    `node` is the QEMU block node of the newest layer as `json:` text; every layer's driver,
    file and backing stand in it explicitly, so QEMU follows no hint of the source's own.
    """

    index: int
    name: str
    virtual_size_bytes: int
    node: str
    files: tuple[SourceFile, ...]
    layer_count: int

    @property
    def allocated_bytes(self) -> int:
        """Upper bound of the bytes that hold anything: the size of all files read."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The qcow2 file that takes every repair; the source below it is never written."""

    view: DiskView
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDisk:
    """A finished image file."""

    path: Path
    format: OutputFormat
    virtual_size_bytes: int
    sha256: str | None = None
