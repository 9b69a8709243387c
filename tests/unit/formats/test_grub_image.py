import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.efi_programs import grub, program
from vmdk2kvm.formats.grub_image import prefix_folder


def read(content: bytes) -> str | None:
    return prefix_folder(io.BytesIO(content))


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [
        ("/EFI/debian", "/EFI/debian"),
        ("(,gpt2)/boot/grub", "/boot/grub"),
        ("(lvmid/a-b/c-d)/boot/grub2", "/boot/grub2"),
        ("", ""),
        (None, ""),
        ("(hd0,gpt1)", ""),
    ],
)
def test_the_prefix_without_its_device(prefix: str | None, folder: str) -> None:
    assert read(grub(prefix)) == folder


def test_other_programs_have_none() -> None:
    assert read(b"") is None
    assert read(program({b".text": b"shim"})) is None
    assert read(program({b"mods": b"mimg"})) is None
    assert read(program({b"mods": b"x" * 64})) is None


@pytest.mark.parametrize("object_bytes", [0, 7, 0xFFFFFFFF])
def test_objects_of_impossible_size_end_the_search(object_bytes: int) -> None:
    mods = struct.pack("<4s4xQQ", b"mimg", 24, 1 << 60) + struct.pack("<II", 0, object_bytes) + bytes(64)
    assert read(program({b"mods": mods})) == ""


@given(st.binary(max_size=200))
def test_damaged_objects_are_no_error(noise: bytes) -> None:
    read(program({b"mods": struct.pack("<4s4xQQ", b"mimg", 24, 1 << 20) + noise}))
    read(program({b"mods": b"mimg" + noise}))
