import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.kernel_version import sort_key

OLDEST_FIRST = (
    "2.6.32-754.el6.x86_64",
    "3.10.0-1160.el7.x86_64",
    "5.4.0-9-generic",
    "5.4.0-150-generic",
    "5.9.0-1-amd64",
    "5.14.0-70.el9.x86_64",
    "5.14.0-427.13.1.el9_4.x86_64",
    "6.1.0-rc3",
    "6.1.0-rc10",
    "6.1.0",
    "6.1.0-9-amd64",
    "6.1.0-13-amd64",
    "6.10.0",
)
NUMBERS = st.lists(st.integers(0, 10_000), min_size=3, max_size=3)


def test_as_they_came_out() -> None:
    for shuffled in itertools.islice(itertools.permutations(OLDEST_FIRST), 0, 100_000, 9973):
        assert tuple(sorted(shuffled, key=sort_key)) == OLDEST_FIRST


@given(NUMBERS, NUMBERS, st.sampled_from(["", "-amd64", "-4.el9", "-default"]))
def test_numbers_count_as_numbers(one: list[int], other: list[int], suffix: str) -> None:
    first, second = (".".join(map(str, numbers)) + suffix for numbers in (one, other))
    assert (sort_key(first) < sort_key(second)) == (one < other)


@given(NUMBERS, st.integers(0, 20))
def test_a_candidate_is_older_than_its_release(numbers: list[int], candidate: int) -> None:
    release = ".".join(map(str, numbers))
    assert sort_key(f"{release}-rc{candidate}") < sort_key(release) < sort_key(f"{release}-1")


@given(st.text(max_size=30), st.text(max_size=30))
def test_only_equal_text_has_equal_keys(one: str, other: str) -> None:
    assert (sort_key(one) == sort_key(other)) == (one == other)


@pytest.mark.parametrize("version", ["", "-", "~~", "é", "9" * 400])
def test_odd_versions_have_a_place(version: str) -> None:
    assert sorted([version, "6.1.0"], key=sort_key)
