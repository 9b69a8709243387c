"""crypttab(5), read and edited without touching a byte more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.crypttab import Entry, edit, entries

_TEXT = st.text(st.sampled_from("ab/=#, \t\r\n\udcff"), max_size=60)


def one(line: str) -> Entry:
    (found,) = entries(line)
    return found


def test_the_fields_of_a_line() -> None:
    entry = one("# a b\n\n  name\t/dev/sda5  /etc/key luks,header=/h:/dev/sdb1,discard \r\n")
    assert (entry.line, entry.name, entry.device, entry.key_file) == (3, "name", "/dev/sda5", "/etc/key")
    assert entry.options == ("luks", "header=/h:/dev/sdb1", "discard")
    assert (entry.option("header"), entry.option("discard"), entry.option("swap")) == (
        "/h:/dev/sdb1",
        "",
        None,
    )


@pytest.mark.parametrize("line", ["a b", "a b none", "a b - luks"])
def test_a_passphrase_is_asked_for(line: str) -> None:
    assert one(line).key_file == ""


@pytest.mark.parametrize(("key", "is_random"), [("/dev/urandom", True), ("/dev/random", True), ("/k", False)])
def test_keys_that_are_new_at_every_start(key: str, is_random: bool) -> None:
    assert one(f"a b {key}").is_random is is_random


def test_a_line_without_a_device_is_no_entry() -> None:
    assert list(entries("name\n#a b\n \t\n")) == []
    with pytest.raises(KeyError):
        edit("name\n", {1: "x"})


@given(_TEXT)
def test_nothing_to_change_changes_nothing(text: str) -> None:
    assert edit(text, {}) == text
    assert edit(text, {entry.line: entry.device for entry in entries(text)}) == text


@given(_TEXT)
def test_only_devices_change_and_twice_is_once(text: str) -> None:
    before = list(entries(text))
    wanted = {entry.line: f"UUID=u{entry.line}" for entry in before}
    after = edit(text, wanted)
    assert edit(after, wanted) == after
    assert [(e.line, e.name, e.key_file, e.options) for e in entries(after)] == [
        (e.line, e.name, e.key_file, e.options) for e in before
    ]
    assert {e.line: e.device for e in entries(after)} == wanted
