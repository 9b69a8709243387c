import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.superblock import EXT_BYTES, SWAP_HEADER_BYTES, ext_has_errors, swap_is_suspended


def ext(state: int, magic: int = 0xEF53) -> bytes:
    return bytes(0x38) + struct.pack("<HH", magic, state) + bytes(EXT_BYTES - 0x3C)


@pytest.mark.parametrize(("state", "damaged"), [(0, False), (1, False), (2, True), (3, True), (4, False)])
def test_the_state_of_an_ext_file_system(state: int, damaged: bool) -> None:
    assert ext_has_errors(ext(state)) is damaged


def test_what_is_no_superblock_says_nothing() -> None:
    assert not ext_has_errors(ext(2, magic=0x1234))
    assert not ext_has_errors(ext(2)[:-1])
    assert not ext_has_errors(b"")


@pytest.mark.parametrize("signature", [b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001"])
def test_a_machine_asleep(signature: bytes) -> None:
    assert swap_is_suspended(bytes(SWAP_HEADER_BYTES - 10) + signature)
    assert not swap_is_suspended(bytes(SWAP_HEADER_BYTES - 11) + signature)


def test_a_swap_space_in_use() -> None:
    assert not swap_is_suspended(bytes(SWAP_HEADER_BYTES - 10) + b"SWAPSPACE2")


@given(st.binary(max_size=SWAP_HEADER_BYTES))
def test_any_bytes(content: bytes) -> None:
    ext_has_errors(content)
    swap_is_suspended(content)
