"""VMware disks that lie in a folder of this host: descriptors, extents and snapshot parents.

Follows what a disk's descriptor names, and nothing outside the folder of the VM. Every file is
opened read-only, and only after it is known to be a regular file.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmdk2kvm.errors import ChainError, DescriptorError, ExtentError, InputNotFound, SourceDiskError
from vmdk2kvm.formats import vmdk_descriptor, vmdk_sparse
from vmdk2kvm.formats.vmdk_descriptor import Descriptor, Extent
from vmdk2kvm.model.disk import ExtentType, SourceChain, SourceExtent, SourceFile, SourceLayer
from vmdk2kvm.model.units import SECTOR_BYTES

MAX_LAYERS = 255  # VMware ends at 32 snapshots

_OUTSIDE_HINT = "move the file into the VM's folder, or allow it with --allow-external-extents."


class SourceFolder:
    """The folder of one disk: finds the files that its descriptors name."""

    def __init__(self, folder: Path, *, allow_external_extents: bool) -> None:
        self._folder = folder
        self._allow_external = allow_external_extents

    def locate(self, name: str, *, beside: Path, error: type[SourceDiskError], what: str) -> Path:
        """The real path of the file that the descriptor `beside` calls `name`.

        Raises `error` where it is outside the folder, missing or not a regular file.
        """
        path = Path(os.path.realpath(beside.parent / name))
        shown = _show(name)
        if not self._allow_external and not path.is_relative_to(self._folder):
            raise error(
                f'the {what} "{shown}" of "{beside}" lies outside the folder "{self._folder}".',
                hint=_OUTSIDE_HINT,
                path=beside,
            )
        try:
            mode = path.stat().st_mode
        except OSError as reason:
            raise error(
                f'the {what} "{shown}" of "{beside}" cannot be read: {reason.strerror}.',
                hint=f'copy it into "{beside.parent}" under this name.',
                path=path,
            ) from reason
        if not stat.S_ISREG(mode):
            raise error(
                f'the {what} "{shown}" of "{beside}" is not a regular file.',
                hint="copy the disk's files from VMware again.",
                path=path,
            )
        return path


def read_chain(vmdk: Path, *, index: int, allow_external_extents: bool) -> SourceChain:
    """One disk with all its snapshots' parents, newest first.

    Raises InputNotFound, DescriptorError, ExtentError, ChainError.
    """
    path = _given(vmdk)
    folder = SourceFolder(path.parent, allow_external_extents=allow_external_extents)
    layers: list[SourceLayer] = []
    seen: set[Path] = set()
    while path not in seen:
        if len(seen) == MAX_LAYERS:
            raise ChainError(
                f'"{vmdk}" has more than {MAX_LAYERS} snapshots below it.',
                hint="consolidate the snapshots in VMware, then copy the disk again.",
                path=path,
            )
        seen.add(path)
        descriptor, is_embedded = _read_descriptor(path)
        layers.append(_layer(path, descriptor, None if is_embedded else folder))
        parent = _parent(path, descriptor, folder)
        if parent is None:
            return SourceChain(index=index, name=vmdk.stem, layers=tuple(layers))
        path = parent
    raise ChainError(
        f'the snapshot chain of "{vmdk}" comes back to "{path}".',
        hint="repair parentFileNameHint in the descriptors, or copy the disk from VMware again.",
        path=path,
    )


def _given(vmdk: Path) -> Path:
    path = Path(os.path.realpath(vmdk))
    try:
        mode = path.stat().st_mode
    except OSError as reason:
        raise InputNotFound(
            f'"{vmdk}" cannot be read: {reason.strerror}.', hint="check the path of the disk.", path=vmdk
        ) from reason
    if not stat.S_ISREG(mode):
        raise DescriptorError(
            f'"{vmdk}" is not a regular file.', hint="give the .vmdk file of the disk.", path=vmdk
        )
    return path


def _read_descriptor(path: Path) -> tuple[Descriptor, bool]:
    """The descriptor in a text file, or (True) the one embedded in a sparse file."""
    with open_file(path) as file:
        start = file.read(0, vmdk_sparse.HEADER_BYTES)
        if vmdk_sparse.is_sparse(start):
            return _embedded_descriptor(file, start), True
        if not vmdk_descriptor.looks_like_descriptor(start):
            raise DescriptorError(
                f'"{path}" is not a VMDK.',
                hint="give the disk's descriptor (the small .vmdk file beside the data), or a sparse .vmdk.",
                path=path,
            )
        return vmdk_descriptor.parse(file.read(0, vmdk_descriptor.MAX_BYTES + 1), path=path), False


def _embedded_descriptor(file: "OpenFile", start: bytes) -> Descriptor:
    header = vmdk_sparse.parse_header(start, path=file.path)
    offset, length = header.descriptor_offset * SECTOR_BYTES, header.descriptor_sectors * SECTOR_BYTES
    if offset == 0 or length == 0:
        raise DescriptorError(
            f'"{file.path}" is one extent of a disk, not the disk.',
            hint="give the descriptor: the small .vmdk file that names this one.",
            path=file.path,
        )
    data = file.read(offset, min(length, vmdk_descriptor.MAX_BYTES + 1))
    descriptor = vmdk_descriptor.parse(data, path=file.path)
    only = descriptor.extents[0]
    if len(descriptor.extents) > 1 or only.type is not ExtentType.SPARSE:
        raise DescriptorError(
            f'"{file.path}" holds a descriptor that names other extents than the file itself.',
            hint="copy the disk's files from VMware again.",
            path=file.path,
        )
    return descriptor


def _layer(path: Path, descriptor: Descriptor, folder: SourceFolder | None) -> SourceLayer:
    """`folder` is None for an embedded descriptor: the file is its own extent, and the name in the
    descriptor, often stale ("generated-stream.vmdk"), counts for nothing.
    """
    return SourceLayer(
        descriptor=source_file(path),
        cid=descriptor.cid,
        parent_cid=descriptor.parent_cid,
        extents=tuple(
            _extent(extent, _locate(extent, path, folder) if folder else path)
            for extent in descriptor.extents
        ),
    )


def _locate(extent: Extent, path: Path, folder: SourceFolder) -> Path | None:
    if extent.filename is None:
        return None
    return folder.locate(extent.filename, beside=path, error=ExtentError, what="extent")


def _extent(extent: Extent, path: Path | None) -> SourceExtent:
    return SourceExtent(
        type=extent.type,
        size_sectors=extent.size_sectors,
        file=None if path is None else source_file(path),
        offset_sectors=extent.offset_sectors,
    )


def _parent(path: Path, descriptor: Descriptor, folder: SourceFolder) -> Path | None:
    hint = descriptor.parent_file_name_hint
    if (hint is None) != (descriptor.parent_cid is None):
        raise ChainError(
            f'"{path}" gives a parent\'s CID without its name, or its name without its CID.',
            hint="repair parentCID and parentFileNameHint, or copy the disk from VMware again.",
            path=path,
        )
    if hint is None:
        return None
    return folder.locate(hint, beside=path, error=ChainError, what="parent")


def source_file(path: Path) -> SourceFile:
    status = path.stat()
    return SourceFile(path=path, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


class OpenFile:
    """A source file, open for reading."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; short only at the end of the file."""
        return os.pread(self._descriptor, length, offset)


@contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """Open a source file read-only. Raises ExtentError where the host refuses."""
    try:
        # O_NONBLOCK: a FIFO put there since the check must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as reason:
        raise ExtentError(
            f'"{path}" cannot be read: {reason.strerror}.', hint="check its permissions.", path=path
        ) from reason
    try:
        yield OpenFile(path, descriptor)
    finally:
        os.close(descriptor)


def _show(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
