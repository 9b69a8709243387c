import re
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.linear_pattern import NotRead, compile_pattern

characters = st.sampled_from("ab/.-")
atoms = st.one_of(
    characters.map(re.escape),
    st.sampled_from([".", r"\d", r"\w", "[ab]", "[^/]", "[a-c/]", "[^a-b.]", "[-a]", "[]a]", r"[\.b]"]),
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        inner.map(lambda one: f"({one})*"),
        inner.map(lambda one: f"({one})+"),
        inner.map(lambda one: f"(?:{one})?"),
        inner.map(lambda one: f"({one}){{2}}"),
        inner.map(lambda one: f"({one}){{1,3}}"),
        inner.map(lambda one: f"({one}){{1,}}"),
    ),
    max_leaves=6,
)


@given(patterns, st.lists(st.text("ab/.-1", max_size=8), min_size=1, max_size=8))
def test_it_matches_what_re_matches(pattern: str, texts: list[str]) -> None:
    ours, theirs = compile_pattern(pattern), re.compile(pattern)
    assert [ours.matches(text) for text in texts] == [bool(theirs.fullmatch(text)) for text in texts]


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with suppress(NotRead):
        compile_pattern(text).matches("/etc/passwd")


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)", "(?!a)", r"(a)\1", "a**", "a*+", "*a", "(a", "a)", "[a", "a{", "a{x}", "a{1000}", "a{2,1}",
        "a\\", r"\Qa\E", "[[:nothing:]]", "[b-a]", "^a", "a$", "(*VERB)", "((((a{9}){9}){9}){9}){9}",
        "(" * 50 + ")" * 50,
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused(pattern: str) -> None:
    with pytest.raises(NotRead):
        compile_pattern(pattern)


def test_a_pattern_that_makes_others_backtrack_for_ever() -> None:
    started = time.monotonic()
    assert not compile_pattern("(a*)*(a*)*(a|a)*b").matches("a" * 2000)
    assert time.monotonic() - started < 5
