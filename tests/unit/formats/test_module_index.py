import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.module_index import MAGIC, MAX_KEY_BYTES, VERSION, Entry, parse, render
from vmdk2kvm.model.units import MIB

keys = st.text(st.sampled_from("abc_:*[0]"), min_size=1, max_size=12)
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
entries = st.builds(Entry, priority=st.integers(0, 0xFFFFFFFF), key=keys, value=values)


@given(st.lists(entries, max_size=30))
def test_what_is_rendered_reads_back_by_priority(given_entries: list[Entry]) -> None:
    assert parse(render(given_entries)) == sorted(given_entries)


@given(st.lists(entries, max_size=10), st.randoms())
def test_the_order_they_come_in_does_not_matter(given_entries: list[Entry], random: object) -> None:
    assert render(reversed(given_entries)) == render(given_entries)


def test_the_bytes_depmod_writes() -> None:
    """The tree of "ab" and "ac": a node with a prefix, and two leaves without one."""
    content = render([Entry(priority=1, key="ab", value="x"), Entry(priority=2, key="ac", value="y")])
    leaf_b = struct.pack(">II", 1, 1) + b"x\0"
    leaf_c = struct.pack(">II", 1, 2) + b"y\0"
    root = b"a\0" + b"bc" + struct.pack(">II", 0x40000000 | 12, 0x40000000 | 22)
    header = struct.pack(">III", MAGIC, VERSION, 0x80000000 | 0x20000000 | 32)
    assert content == header + leaf_b + leaf_c + root


def test_several_values_of_one_key() -> None:
    both = [Entry(priority=5, key="a", value="later"), Entry(priority=2, key="a", value="first")]
    assert [entry.value for entry in parse(render(both))] == ["first", "later"]


def test_an_empty_index() -> None:
    assert parse(render([])) == []


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_BYTES + 1), "é", "a\0b", "\udcff"])
def test_keys_that_no_index_holds(key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        render([Entry(priority=0, key=key, value="")])


def test_a_value_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="no key"):
        render([Entry(priority=0, key="a", value="b\0c")])


WHOLE = render([Entry(priority=nth, key=name, value=f"{name}.ko:") for nth, name in enumerate("abcd")])


@pytest.mark.parametrize("length", range(0, len(WHOLE), 3))
def test_a_cut_off_index_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match=r"index|substring"):
        parse(WHOLE[:length])


def test_an_index_that_points_back_to_itself_ends() -> None:
    circle = struct.pack(">III", MAGIC, VERSION, 0x20000000 | 12) + b"aa" + struct.pack(">I", 0x20000000 | 12)
    with pytest.raises(ValueError, match="does not end"):
        parse(circle)


def test_an_index_that_leads_to_one_place_again_and_again_ends() -> None:
    """Each of a few levels points 256 times at the level below: a thousand bytes, a billion paths."""
    content = bytearray(struct.pack(">III", MAGIC, VERSION, 0))
    content += struct.pack(">II", 1, 0) + b"x\0"
    below = 0x40000000 | 12
    for _ in range(6):
        at = len(content)
        content += bytes((0, 255)) + struct.pack(">I", below) * 256
        below = 0x20000000 | at
    struct.pack_into(">I", content, 8, below)
    with pytest.raises(ValueError, match="does not end"):
        parse(bytes(content))


def test_one_long_value_again_and_again_ends() -> None:
    content = bytearray(struct.pack(">III", MAGIC, VERSION, 0))
    content += struct.pack(">II", 1, 0) + b"x" * MIB + b"\0"
    root = 0x20000000 | len(content)
    content += bytes((0, 255)) + struct.pack(">I", 0x40000000 | 12) * 256
    struct.pack_into(">I", content, 8, root)
    with pytest.raises(ValueError, match="does not end"):
        parse(bytes(content))


def test_the_deepest_keys_there_may_be() -> None:
    longest = [Entry(priority=0, key="b" * MAX_KEY_BYTES, value="")]
    assert parse(render(longest)) == longest
    deep = [Entry(priority=n, key="a" * n, value=str(n)) for n in range(1, MAX_KEY_BYTES + 1)]
    assert parse(render(deep)) == deep


@given(st.binary(max_size=200))
def test_any_bytes_end_in_entries_or_in_an_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse(struct.pack(">II", MAGIC, VERSION) + content)
