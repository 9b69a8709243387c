import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.shell_words import GRUB, SHELL, Grammar, assignments, commands


def words(text: str, grammar: Grammar = SHELL) -> list[list[str]]:
    return [[word.value for word in command] for command in commands(text, grammar)]


def test_commands_end_at_newlines_and_operators() -> None:
    assert words("a b;c\td & e|f\n\n(g) >h") == [["a", "b"], ["c", "d"], ["e"], ["f"], ["g"], ["h"]]


def test_comments_start_words() -> None:
    assert words("# a 'b\nc#d # e\n#") == [["c#d"]]


def test_quotes() -> None:
    assert words("""'a "b' "c 'd" e\\ f g'h'"i"\\j""") == [['a "b', "c 'd", "e f", "ghij"]]
    assert words('"\\$a \\"b\\" \\c \\\\ \\`"') == [['$a "b" \\c \\ `']]


def test_continued_lines() -> None:
    assert words("a \\\n b\\\nc \"d\\\ne\" 'f\\\ng'") == [["a", "bc", "de", "f\\\ng"]]
    assert words("a \\\r\n b\r\nc") == [["a", "b"], ["c"]]


def test_expansions_stay_as_written() -> None:
    assert words('$a ${b:-c d} "$e${f}" `g \'h` $(i ")" (j)) "$(k "l")" m$') == [
        ["$a", "${b:-c d}", "$e${f}", "`g 'h`", '$(i ")" (j))', '$(k "l")', "m$"]
    ]


def test_grub_has_braces_and_no_substitutions() -> None:
    assert words("menuentry 'a' {\nlinux ${x} `b $(c\n}\nd {e}", GRUB) == [
        ["menuentry", "a"],
        ["linux", "${x}", "`b", "$(c"],
        ["}"],
        ["d"],
        ["e"],
        ["}"],
    ]
    assert words("a{b}", SHELL) == [["a{b}"]]


@pytest.mark.parametrize("text", ["a\nb 'c\n", 'a\nb "c', "a\nb `c", "a\nb $(c", 'a\nb "c `d" e', 'a\nb "\\'])
def test_a_quote_that_is_never_closed_is_refused(text: str) -> None:
    with pytest.raises(GuestError, match=r"line 2 opens a .* that is never closed"):
        list(commands(text, SHELL))


def test_where_a_part_of_a_word_is_written() -> None:
    text = 'x \'ab\'"cd\\"ef"$g'
    word = next(iter(commands(text, SHELL)))[1]
    assert word.value == 'abcd"ef$g'
    for start in range(len(word.value)):
        span = word.locate(start, start + 1)
        assert span is not None
        assert text[span.start : span.end] == word.value[start]
    assert word.locate(1, 3) is None  # a quote in between
    assert word.locate(3, 5) is None  # a backslash in between
    assert word.locate(4, 7) == (10, 13)


def test_assignments() -> None:
    text = "A=1\nexport B='x y'\n# C=2\nD+=z E=\nif x; then _F=1; fi\n1G=2\necho H==i"
    found = [(each.name, each.appends, each.value) for each in assignments(text)]
    assert found == [
        ("A", False, "1"),
        ("B", False, "x y"),
        ("D", True, "z"),
        ("E", False, ""),
        ("_F", False, "1"),
        ("H", False, "=i"),
    ]


def test_where_a_value_is_written() -> None:
    text = 'A="root=x"'
    (found,) = assignments(text)
    span = found.locate(0, len(found.value))
    assert span is not None
    assert text[span.start : span.end] == "root=x"


@given(st.text(alphabet="ab \t\n\\\"'$`(){}#;=&é", max_size=120), st.sampled_from([SHELL, GRUB]))
def test_words_are_the_text_they_stand_on(text: str, grammar: Grammar) -> None:
    try:
        found = [word for command in commands(text, grammar) for word in command]
    except GuestError:
        return
    ends = [0]
    for word in found:
        assert ends[-1] <= word.span.start < word.span.end
        ends.append(word.span.end)
        assert "".join(text[piece.start : piece.end] for piece in word.pieces) == word.value


@pytest.mark.parametrize(
    "text",
    [
        "${" * 200_000,
        "\\\n" * 200_000,
        " " * 1_000_000,
        "a;" * 150_000,
        'A="' + '\\"a' * 150_000 + '"',
        "$(" * 150_000,
    ],
    ids=lambda text: text[:4],
)
def test_odd_texts_take_linear_time(text: str) -> None:
    started = time.monotonic()
    try:
        for found in assignments(text):
            for start in range(0, len(found.value), 7):
                found.locate(start, start + 1)
    except GuestError:
        pass
    assert time.monotonic() - started < 20
