import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.machine_code import bzimage_release, elf_machine


@pytest.mark.parametrize(
    ("order", "number", "machine"),
    [(1, 62, "x86_64"), (1, 183, "aarch64"), (2, 22, "s390x"), (1, 3, "i686"), (1, 9999, None)],
)
def test_elf(order: int, number: int, machine: str | None) -> None:
    head = b"\x7fELF" + bytes((2, order)) + bytes(12)
    assert elf_machine(head + number.to_bytes(2, "little" if order == 1 else "big")) == machine


def test_what_is_no_elf_file() -> None:
    assert elf_machine(b"#!/bin/sh\nexec something else\n") is None
    assert elf_machine(b"\x7fELF") is None


def kernel(release: bytes, offset: int = 0x400) -> bytes:
    head = bytearray(0x1000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = offset.to_bytes(2, "little")
    head[offset + 0x200 : offset + 0x200 + len(release)] = release
    return bytes(head)


def test_bzimage() -> None:
    assert bzimage_release(kernel(b"6.6.1-arch1-1 (linux@arch) #1 SMP\0junk")) == "6.6.1-arch1-1"
    assert bzimage_release(kernel(b"")) is None
    assert bzimage_release(bytes(0x1000)) is None


@given(st.binary(max_size=0x300))
def test_any_bytes(head: bytes) -> None:
    bzimage_release(head)
    elf_machine(head)
