import io

from hypothesis import given
from hypothesis import strategies as st

from tests.efi_programs import COFF_BYTES, OPTIONAL_BYTES, program
from tests.initramfs_images import image
from vmdk2kvm.formats.pe_program import read_section, section
from vmdk2kvm.formats.unified_kernel import UnifiedKernel, read


def contents(content: bytes) -> UnifiedKernel:
    return read("/k.efi", io.BytesIO(content))


def arguments(content: bytes) -> bytes | None:
    return read_section(io.BytesIO(content), b".cmdline", most_bytes=65_536)


def test_what_an_image_holds() -> None:
    sections = {
        b".text": b"x" * 700,
        b".cmdline": b"root=/dev/sda2 ro\n\0",
        b".uname": b"6.6.8-arch1-1",
        b".initrd": image(["virtio_blk", "sd_mod"]),
        b".linux": b"MZ" * 400,
    }
    found = contents(program(sections))
    assert (found.arguments, found.version) == ("root=/dev/sda2 ro", "6.6.8-arch1-1")
    assert found.initramfs and found.initramfs.modules == {"virtio_blk", "sd_mod"}
    assert found.initramfs.error is None


def test_an_image_without_its_parts_and_other_files() -> None:
    nothing = UnifiedKernel(arguments="", version="", initramfs=None)
    assert contents(program({b".text": b"x"})) == nothing
    for content in (b"", b"MZ", b"\x7fELF" + bytes(100), b"MZ".ljust(60, b"\0") + b"\xff\xff\xff\x0f"):
        assert contents(content) == nothing
    broken = contents(program({b".initrd": b"no archive"})).initramfs
    assert broken and broken.error


def test_headers_that_end_early_or_are_others() -> None:
    whole = program({b".cmdline": b"root=x"}, lead=64)
    assert arguments(whole) == b"root=x"
    assert arguments(whole[: 64 + 4]) is None
    assert arguments(whole.replace(b"PE\0\0", b"NE\0\0")) is None
    assert arguments(whole[: 64 + COFF_BYTES + OPTIONAL_BYTES + 39]) is None


def test_a_section_that_claims_too_much_is_read_within_bounds() -> None:
    content = bytearray(program({b".cmdline": b"a" * 70_000}, lead=128))
    assert len(arguments(bytes(content)) or b"") == 65_536
    size_in_memory = 128 + COFF_BYTES + OPTIONAL_BYTES + 8
    content[size_in_memory : size_in_memory + 4] = b"\xff" * 4
    assert len(arguments(bytes(content)) or b"") == 65_536


def test_a_section_is_a_stream_that_ends_with_it() -> None:
    found = section(io.BytesIO(program({b".a": b"0123456789", b".b": b"next"})), b".a")
    assert found is not None
    assert found.read() == b"0123456789"
    assert (found.seek(-3, io.SEEK_END), found.read(9)) == (7, b"789")
    assert (found.seek(2), found.seek(1, io.SEEK_CUR), found.read(2)) == (2, 3, b"34")


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 255))
def test_damaged_images_are_no_error(noise: bytes, at: int, byte: int) -> None:
    content = bytearray(program({b".cmdline": b"root=x", b".initrd": b"070701" + noise}, lead=64))
    content[min(at, len(content) - 1)] = byte
    contents(bytes(content))
    contents(b"MZ" + noise)
