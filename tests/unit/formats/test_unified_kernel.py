import io
import struct

from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.unified_kernel import embedded_arguments


def program(sections: dict[bytes, bytes], *, lead: int = 128) -> bytes:
    """A PE file as `objcopy --add-section` makes it of systemd's stub."""
    table_bytes = 40 * len(sections)
    place = lead + 24 + 240 + table_bytes
    table, contents = b"", b""
    for name, content in sections.items():
        padded = content.ljust(-(-len(content) // 512) * 512, b"\0")
        table += struct.pack("<8sIIII16x", name, len(content), 0x10000, len(padded), place + len(contents))
        contents += padded
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", lead)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, len(sections), 0, 0, 0, 240, 0)
    return head.ljust(lead, b"\0") + coff + bytes(240) + table + contents


def read(content: bytes) -> str | None:
    return embedded_arguments(io.BytesIO(content))


def test_the_arguments_of_an_image() -> None:
    sections = {b".text": b"x" * 700, b".cmdline": b"root=/dev/sda2 ro\n\0", b".linux": b"MZ" * 400}
    assert read(program(sections)) == "root=/dev/sda2 ro"


def test_an_image_without_arguments_and_other_files() -> None:
    assert read(program({b".text": b"x"})) is None
    for content in (b"", b"MZ", b"\x7fELF" + bytes(100), b"MZ".ljust(60, b"\0") + struct.pack("<I", 1 << 30)):
        assert read(content) is None


def test_a_section_that_claims_too_much_is_read_within_bounds() -> None:
    content = bytearray(program({b".cmdline": b"a" * 70_000}))
    assert len(read(bytes(content)) or "") == 65_536
    content[128 + 24 + 240 + 8 : 128 + 24 + 240 + 12] = b"\xff" * 4
    assert len(read(bytes(content)) or "") == 65_536


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 255))
def test_damaged_images_are_no_error(noise: bytes, at: int, byte: int) -> None:
    content = bytearray(program({b".cmdline": b"root=x"}, lead=64))
    content[min(at, len(content) - 1)] = byte
    read(bytes(content))
    read(b"MZ" + noise)
