"""Which format a finished disk image has, from its first bytes.

qcow2 (QEMU's docs/interop/qcow2.txt), VDI (VirtualBox); what carries no mark at all is raw. An
image that names another file, a backing file or an external data file, is refused: QEMU would open
whatever it names.
"""

import struct

from vmdk2kvm.model.disk import OutputFormat

HEADER_BYTES = 512

_QCOW2 = b"QFI\xfb"
_VDI = struct.pack("<I", 0xBEDA107F)
_VDI_MARK_AT = 0x40
_EXTERNAL_DATA_FILE = 1 << 2  # of the incompatible features, qcow2 version 3
_FOREIGN = {
    b"KDMV": "a VMDK",
    b"COWD": "a VMDK",
    b"# Disk Descriptor": "a VMDK descriptor",
    b"# Disk DescriptorFile": "a VMDK descriptor",
    b"vhdxfile": "a VHDX",
    b"conectix": "a VHD",
    b"LUKS\xba\xbe": "an encrypted LUKS volume",
    b"QED\0": "a QED image",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "compressed by gzip",
    b"\xfd7zXZ\0": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}


class ImageRefused(ValueError):
    """The message completes "the image …"."""


def image_format(header: bytes) -> OutputFormat:
    """The format of an image that starts with `header` (HEADER_BYTES of it). Raises ImageRefused."""
    if header.startswith(_QCOW2):
        _check_qcow2(header)
        return OutputFormat.QCOW2
    if header[_VDI_MARK_AT : _VDI_MARK_AT + 4] == _VDI:
        return OutputFormat.VDI
    for mark, what in _FOREIGN.items():
        if header.startswith(mark):
            raise ImageRefused(f"is {what}")
    if len(header) < HEADER_BYTES:
        raise ImageRefused(f"holds {len(header)} bytes only")
    return OutputFormat.RAW


def _check_qcow2(header: bytes) -> None:
    if len(header) < 72:
        raise ImageRefused("is a qcow2 cut off in its header")
    version, backing_at, _, _, _, encryption = struct.unpack(">IQIIQI", header[4:36])
    if version not in (2, 3):
        raise ImageRefused(f"is a qcow2 of the unknown version {version}")
    if backing_at:
        raise ImageRefused("is a qcow2 with a backing file")
    if encryption:
        raise ImageRefused("is an encrypted qcow2")
    if version == 3 and struct.unpack(">Q", header[72:80])[0] & _EXTERNAL_DATA_FILE:
        raise ImageRefused("is a qcow2 with an external data file")
