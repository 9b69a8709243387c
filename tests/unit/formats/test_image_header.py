"""An image of unknown origin is known by its first bytes, and one that names others is refused."""

import struct

import pytest

from vmdk2kvm.formats.image_header import HEADER_BYTES, ImageRefused, image_format
from vmdk2kvm.model.disk import OutputFormat


def qcow2(
    version: int = 3,
    backing_at: int = 0,
    encryption: int = 0,
    features: int = 0,
    size: int = HEADER_BYTES,
) -> bytes:
    fixed = struct.pack(">4sIQIIQI", b"QFI\xfb", version, backing_at, 0, 16, 1 << 30, encryption)
    return (fixed.ljust(72, b"\0") + struct.pack(">Q", features)).ljust(HEADER_BYTES, b"\0")[:size]


def test_formats_are_known() -> None:
    assert image_format(qcow2()) is OutputFormat.QCOW2
    assert image_format(qcow2(version=2, features=4)) is OutputFormat.QCOW2  # no such field in 2
    vdi = b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(0x40, b"\0") + struct.pack("<I", 0xBEDA107F)
    assert image_format(vdi.ljust(HEADER_BYTES, b"\0")) is OutputFormat.VDI
    assert image_format(bytes(510) + b"\x55\xaa") is OutputFormat.RAW


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (qcow2(backing_at=112), "backing file"),
        (qcow2(version=2, backing_at=72), "backing file"),
        (qcow2(features=4), "external data file"),
        (qcow2(encryption=1), "encrypted"),
        (qcow2(version=9), "version 9"),
        (qcow2(size=60), "cut off"),
        (b"KDMV".ljust(HEADER_BYTES, b"\0"), "VMDK"),
        (b"# Disk DescriptorFile\nversion=1\n".ljust(HEADER_BYTES, b"\n"), "VMDK descriptor"),
        (b"vhdxfile".ljust(HEADER_BYTES, b"\0"), "VHDX"),
        (b"", "0 bytes"),
        (bytes(100), "100 bytes"),
    ],
)
def test_others_are_refused(header: bytes, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        image_format(header)
