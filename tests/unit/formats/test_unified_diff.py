import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.unified_diff import MAX_LINES, unified_diff


def test_a_change_in_the_middle() -> None:
    before = b"".join(b"line %d\n" % number for number in range(10))
    assert unified_diff("/etc/x", before, before.replace(b"line 5", b"LINE 5")) == (
        "--- a/etc/x\n+++ b/etc/x\n@@ -3,7 +3,7 @@\n line 2\n line 3\n line 4\n-line 5\n+LINE 5\n"
        " line 6\n line 7\n line 8\n"
    )


def test_a_new_file_and_a_removed_one() -> None:
    assert unified_diff("/x", None, b"a\n") == "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n"
    assert unified_diff("/x", b"a\n", None) == "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    assert unified_diff("/x", None, b"") == "--- /dev/null\n+++ b/x\n"


def test_a_missing_final_newline_is_told() -> None:
    assert unified_diff("/x", b"a", b"a\n") == (
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    )


def test_only_a_line_feed_ends_a_line_and_controls_are_shown() -> None:
    shown = unified_diff("/x\x1b[2J", "a\x0bb\u2028c\r\n".encode(), b"\x1b]0;title\x07\xff\n")
    assert shown == (
        "--- a/x\\x1b[2J\n+++ b/x\\x1b[2J\n@@ -1 +1 @@\n-a\\x0bb\\u2028c\\x0d\n+\\x1b]0;title\\x07\\xff\n"
    )


@pytest.mark.parametrize("content", [b"\0elf", b"\n" * (MAX_LINES + 1)])
def test_what_is_no_text_is_told_by_size(content: bytes) -> None:
    shown = unified_diff("/x", content, b"text\n")
    assert shown.startswith(f"--- a/x\n+++ b/x\n{len(content)} bytes, sha256 ")
    assert shown.count("\n") == 3


plain = st.text(st.sampled_from("ab\n"), max_size=40).map(str.encode)


@given(plain, plain)
def test_a_diff_holds_both_sides(before: bytes, after: bytes) -> None:
    lines = unified_diff("/x", before, after).split("\n")[2:-1]
    removed = [line[1:] for line in lines if line[0] in "- "]
    added = [line[1:] for line in lines if line[0] in "+ "]
    for side, content in ((removed, before), (added, after)):
        assert len(side) <= content.count(b"\n") + 1
        assert set(side) <= set(content.decode().split("\n"))
    assert bool(lines) == (before != after)


@given(st.text())
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    shown = visible(text)
    assert all(char in "\t\n" or (char >= " " and not "\x7f" <= char <= "\x9f") for char in shown)
    assert visible(shown) == shown


def test_plain_text_is_shown_as_it_is() -> None:
    assert visible("a\tb\nüñ → 漢") == "a\tb\nüñ → 漢"
    assert visible("\udcff\ud800\u202e") == "\\xff\\ud800\\u202e"
