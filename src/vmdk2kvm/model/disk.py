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
