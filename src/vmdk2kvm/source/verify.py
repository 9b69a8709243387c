"""Whether a source disk's files hold what its descriptors claim.

QEMU fills whatever is missing with zeroes and says nothing, so a copy that was cut off, or a parent
that changed after the snapshot, has to be found here.
"""

from itertools import pairwise

from vmdk2kvm.errors import ChainError, ExtentError
from vmdk2kvm.formats import vmdk_sesparse, vmdk_sparse
from vmdk2kvm.formats.vmdk_sparse import SparseHeader
from vmdk2kvm.model.disk import ExtentType, SourceChain, SourceExtent, SourceFile, SourceLayer
from vmdk2kvm.model.units import SECTOR_BYTES, format_bytes
from vmdk2kvm.source.local import OpenFile, open_file


def verify_chain(chain: SourceChain) -> None:
    """Raises ChainError, ExtentError, DescriptorError."""
    for child, parent in pairwise(chain.layers):
        _verify_link(child, parent)
    for layer in chain.layers:
        for extent in layer.extents:
            if extent.file is not None:
                _verify_extent(extent, extent.file)


def _verify_link(child: SourceLayer, parent: SourceLayer) -> None:
    if child.parent_cid != parent.cid:
        raise ChainError(
            f'"{child.descriptor.path}" was made from a parent with CID {child.parent_cid:08x}, '
            f'but "{parent.descriptor.path}" has {parent.cid:08x}.',
            hint="the parent changed after the snapshot: copy the whole chain from VMware again.",
            path=child.descriptor.path,
        )
    if child.size_sectors != parent.size_sectors:
        raise ChainError(
            f'"{child.descriptor.path}" is a disk of {format_bytes(child.size_sectors * SECTOR_BYTES)}, '
            f'its parent "{parent.descriptor.path}" of {format_bytes(parent.size_sectors * SECTOR_BYTES)}.',
            hint="copy the whole chain from VMware again.",
            path=child.descriptor.path,
        )


def _verify_extent(extent: SourceExtent, source: SourceFile) -> None:
    with open_file(source.path) as file:
        if extent.type in {ExtentType.FLAT, ExtentType.VMFS}:
            _verify_flat(extent, file)
        else:
            _verify_sparse(extent, file)


def _verify_flat(extent: SourceExtent, file: OpenFile) -> None:
    needed = (extent.offset_sectors + extent.size_sectors) * SECTOR_BYTES
    if file.size_bytes < needed:
        raise ExtentError(
            f'"{file.path}" is cut off: it holds {file.size_bytes} of {needed} bytes.',
            hint="copy the file from VMware again.",
            path=file.path,
        )


def _verify_sparse(extent: SourceExtent, file: OpenFile) -> None:
    start = file.read(0, vmdk_sparse.HEADER_BYTES)
    if start and not _is_of_type(start, extent.type):
        raise ExtentError(
            f'"{file.path}" is not an extent of the type {extent.type.value}.',
            hint="check that the descriptor names the right file.",
            path=file.path,
        )
    if extent.type is ExtentType.SESPARSE:
        se_header = vmdk_sesparse.parse_header(start, path=file.path)
        _verify_capacity(se_header.capacity_sectors, extent, file)
        vmdk_sesparse.check_grains(file.read, se_header, file_bytes=file.size_bytes, path=file.path)
    else:
        header = _sparse_header(start, file)
        _verify_capacity(header.capacity_sectors, extent, file)
        vmdk_sparse.check_grains(file.read, header, file_bytes=file.size_bytes, path=file.path)


def _is_of_type(start: bytes, type: ExtentType) -> bool:
    if type is ExtentType.SESPARSE:
        return vmdk_sesparse.is_sesparse(start)
    return start[:4] == (vmdk_sparse.HOSTED_MAGIC if type is ExtentType.SPARSE else vmdk_sparse.ESX_MAGIC)


def _sparse_header(start: bytes, file: OpenFile) -> SparseHeader:
    header = vmdk_sparse.parse_header(start, path=file.path)
    if not header.footer_follows:
        return header
    offset = max(0, file.size_bytes - vmdk_sparse.FOOTER_BYTES)
    return vmdk_sparse.parse_footer(file.read(offset, vmdk_sparse.FOOTER_BYTES), header, path=file.path)


def _verify_capacity(capacity_sectors: int, extent: SourceExtent, file: OpenFile) -> None:
    if capacity_sectors != extent.size_sectors:
        raise ExtentError(
            f'"{file.path}" has {capacity_sectors} sectors, but its descriptor says {extent.size_sectors}.',
            hint="copy the disk's files from VMware again.",
            path=file.path,
        )
