import io

from hypothesis import given
from hypothesis import strategies as st

from tests.efi_programs import COFF_BYTES, OPTIONAL_BYTES, program
from vmdk2kvm.formats.unified_kernel import embedded_arguments


def read(content: bytes) -> str | None:
    return embedded_arguments(io.BytesIO(content))


def test_the_arguments_of_an_image() -> None:
    sections = {b".text": b"x" * 700, b".cmdline": b"root=/dev/sda2 ro\n\0", b".linux": b"MZ" * 400}
    assert read(program(sections)) == "root=/dev/sda2 ro"


def test_an_image_without_arguments_and_other_files() -> None:
    assert read(program({b".text": b"x"})) is None
    for content in (b"", b"MZ", b"\x7fELF" + bytes(100), b"MZ".ljust(60, b"\0") + b"\xff\xff\xff\x0f"):
        assert read(content) is None


def test_headers_that_end_early_or_are_others() -> None:
    whole = program({b".cmdline": b"root=x"}, lead=64)
    assert read(whole) == "root=x"
    assert read(whole[: 64 + 4]) is None
    assert read(whole.replace(b"PE\0\0", b"NE\0\0")) is None
    assert read(whole[: 64 + COFF_BYTES + OPTIONAL_BYTES + 39]) is None


def test_a_section_that_claims_too_much_is_read_within_bounds() -> None:
    content = bytearray(program({b".cmdline": b"a" * 70_000}, lead=128))
    assert len(read(bytes(content)) or "") == 65_536
    size_in_memory = 128 + COFF_BYTES + OPTIONAL_BYTES + 8
    content[size_in_memory : size_in_memory + 4] = b"\xff" * 4
    assert len(read(bytes(content)) or "") == 65_536


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 255))
def test_damaged_images_are_no_error(noise: bytes, at: int, byte: int) -> None:
    content = bytearray(program({b".cmdline": b"root=x"}, lead=64))
    content[min(at, len(content) - 1)] = byte
    read(bytes(content))
    read(b"MZ" + noise)
