"""FLATTEN: each chain becomes one coherent view that QEMU can read without believing the source.

QEMU never sees a descriptor that is not ours. For each layer one is written into the scratch folder:
it names symlinks beside it that lead to the checked extents, true CIDs (QEMU compares them), and the
descriptor of the parent, also ours. All names in them are relative and plain, because QEMU reads at
most 511 characters and no quote. A chain of any depth thus fits into the 1023 bytes that qcow2 has
for the name of a backing file.
"""

import json
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import OutputNotWritable
from vmdk2kvm.formats import vmdk_descriptor
from vmdk2kvm.formats.vmdk_descriptor import Access, CreateType, Descriptor, Extent
from vmdk2kvm.model.disk import (
    DiskView,
    ExtentType,
    OutputFormat,
    Overlay,
    SourceChain,
    SourceExtent,
    SourceFile,
    SourceLayer,
)
from vmdk2kvm.model.progress import Progress
from vmdk2kvm.model.report import StageName
from vmdk2kvm.model.units import SECTOR_BYTES
from vmdk2kvm.source.verify import verify_chain
from vmdk2kvm.stages.fetch import Fetched
from vmdk2kvm.tools import qemu_img, whole_file

_MAX_NODE_BYTES = 1023  # of a backing file's name in a qcow2 header
_SPARE_FILES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    views: tuple[DiskView, ...]


def run(fetched: Fetched, scratch: Path) -> Flattened:
    """Verify all chains, then lay a view of each into `scratch`; the same input gives the same view.

    Raises ChainError, ExtentError, DescriptorError, OutputNotWritable, OutputFull.
    """
    for chain in fetched.chains:
        verify_chain(chain)
    _allow_open_files(fetched)
    return Flattened(views=tuple(_view(chain, scratch.absolute()) for chain in fetched.chains))


def create_overlays(views: tuple[DiskView, ...], scratch: Path) -> tuple[Overlay, ...]:
    """An empty qcow2 over each view, which takes all repairs."""
    overlays = []
    with whole_file.translated(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
    for view in views:
        path = scratch.absolute() / f"disk{view.index}-overlay.qcow2"
        qemu_img.create_overlay(path, backing=qemu_img.BlockNode(text=view.node), backing_format="vmdk")
        overlays.append(Overlay(view=view, path=path))
    return tuple(overlays)


def materialize(
    view: DiskView,
    path: Path,
    on_progress: Callable[[Progress], None],
    *,
    format: OutputFormat = OutputFormat.QCOW2,
) -> None:
    """Write the flattened disk as a file of its own, before any repair."""

    def tell(done: float) -> None:
        on_progress(
            Progress(
                stage=StageName.FLATTEN,
                disk=view.name,
                done_bytes=round(done * view.virtual_size_bytes),
                total_bytes=view.virtual_size_bytes,
            )
        )

    whole_file.reserve(path)
    with whole_file.appearing(path) as part:
        qemu_img.convert(qemu_img.BlockNode(text=view.node), part, format=format, on_fraction=tell)


def _view(chain: SourceChain, scratch: Path) -> DiskView:
    folder = scratch / f"disk{chain.index}"
    with whole_file.translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, layer in enumerate(chain.layers):
            _lay(layer, number, folder, is_base=number == len(chain.layers) - 1)
    return DiskView(
        index=chain.index,
        name=chain.name,
        virtual_size_bytes=chain.layers[0].size_sectors * SECTOR_BYTES,
        node=_node(folder / _descriptor_name(0)),
        files=_files(chain),
        layer_count=len(chain.layers),
    )


def _node(path: Path) -> str:
    file = {"driver": "file", "filename": str(path), "read-only": True}
    node = {"driver": "vmdk", "read-only": True, "file": file}
    text = "json:" + json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _unusable(path, "its name is not UTF-8") from error
    if size > _MAX_NODE_BYTES:
        raise _unusable(path, "its name is too long for QEMU")
    return text


def _unusable(path: Path, reason: str) -> OutputNotWritable:
    return OutputNotWritable(
        f'the folder "{path.parent}" cannot hold the working files: {reason}.',
        hint="choose another --output-dir.",
        path=path.parent,
    )


def _descriptor_name(number: int) -> str:
    return f"layer{number}.vmdk"


def _lay(layer: SourceLayer, number: int, folder: Path, *, is_base: bool) -> None:
    """Write our descriptor of one layer, and the links to its extents."""
    extents = tuple(
        _lay_extent(extent, f"layer{number}-{position}", folder)
        for position, extent in enumerate(layer.extents)
    )
    descriptor = Descriptor(
        version=1,
        cid=layer.cid,
        parent_cid=layer.parent_cid,
        create_type=_create_type(extents),
        parent_file_name_hint=None if is_base else _descriptor_name(number + 1),
        extents=extents,
    )
    path = folder / _descriptor_name(number)
    path.write_bytes(vmdk_descriptor.render(descriptor))
    _pad(path, layer)


_CREATE_TYPES = {
    ExtentType.SPARSE: CreateType.TWO_GB_SPARSE,  # QEMU knows monolithicSparse only without a descriptor
    ExtentType.VMFSSPARSE: CreateType.VMFS_SPARSE,
    ExtentType.SESPARSE: CreateType.SE_SPARSE,
}


def _create_type(extents: tuple[Extent, ...]) -> CreateType:
    """The type of the sparse extents; the flat ones beside them are holes of ours."""
    sparse = (_CREATE_TYPES[extent.type] for extent in extents if extent.type in _CREATE_TYPES)
    return next(sparse, CreateType.TWO_GB_FLAT)


def _pad(path: Path, layer: SourceLayer) -> None:
    """Give the descriptor the length of its only extent, with a hole.

    QEMU looks for the footer of a streamOptimized extent at the end of the descriptor's file
    (block/vmdk.c takes the length of `bs->file`, not of the extent).
    """
    only = layer.extents[0].file
    if len(layer.extents) == 1 and layer.extents[0].type is ExtentType.SPARSE and only is not None:
        os.truncate(path, max(only.size_bytes, path.stat().st_size))


def _lay_extent(extent: SourceExtent, name: str, folder: Path) -> Extent:
    path = folder / name
    path.unlink(missing_ok=True)
    if extent.file is None:
        _write_hole(path, extent.size_sectors * SECTOR_BYTES)
    else:
        path.symlink_to(extent.file.path)
    is_flat = extent.type in {ExtentType.FLAT, ExtentType.VMFS, ExtentType.ZERO}
    return Extent(
        access=Access.RW,  # QEMU leaves out extents of any other kind; the node is read-only
        size_sectors=extent.size_sectors,
        type=ExtentType.FLAT if is_flat else extent.type,
        filename=name,
        offset_sectors=extent.offset_sectors,
    )


def _write_hole(path: Path, size_bytes: int) -> None:
    """QEMU does not know ZERO extents, so one becomes a file without a single block."""
    path.touch()
    os.truncate(path, size_bytes)


def _files(chain: SourceChain) -> tuple[SourceFile, ...]:
    files = {}
    for layer in chain.layers:
        for file in (layer.descriptor, *(extent.file for extent in layer.extents)):
            if file is not None:
                files[file.path] = file
    return tuple(files.values())


def _allow_open_files(fetched: Fetched) -> None:
    """Raise the soft limit for our children: QEMU opens every file of a chain at once."""
    needed = _SPARE_FILES + sum(len(layer.extents) + 1 for chain in fetched.chains for layer in chain.layers)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
