import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.spans import Span, line_of, splice


def test_splice_takes_places_of_the_old_text() -> None:
    assert splice("0123456789", {Span(8, 9): "eight", Span(0, 1): "", Span(2, 2): "+"}) == "1+234567eight9"


def test_overlapping_spans_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap at character 2"):
        splice("abcdef", {Span(0, 3): "x", Span(2, 4): "y"})


@given(st.text())
def test_no_replacement_no_change(text: str) -> None:
    assert splice(text, {}) == text


def test_lines_are_counted_from_one() -> None:
    assert [line_of("a\nb\n", position) for position in range(4)] == [1, 1, 2, 2]
