"""kdump.conf(5): targets that are block devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.kdump_conf import edit, targets

_TEXT = st.text(st.sampled_from("rawext4 /devsd1\t\r\n#"), max_size=60)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("raw /dev/sdb1", [("/dev/sdb1", None)]),
        ("  ext4\t/dev/sda3 # here\r\n", [("/dev/sda3", "ext4")]),
        ("xfs UUID=x", [("UUID=x", "xfs")]),
        ("#raw /dev/sdb1", []),
        ("path /var/crash", []),
        ("nfs server:/x", []),
        ("raw", []),
        ("extra_modules ext4 /dev/sda1", []),
    ],
)
def test_targets(line: str, found: list[tuple[str, str | None]]) -> None:
    assert [(each.device, each.type) for each in targets(f"path /x\n{line}")] == found


def test_only_the_device_changes() -> None:
    text = "# raw /dev/sdb1\nraw  /dev/sdb1\t# x\r\next4 /dev/sda3"
    (raw, formatted) = targets(text)
    assert edit(text, {raw.span: "A", formatted.span: "B"}) == "# raw /dev/sdb1\nraw  A\t# x\r\next4 B"


@given(_TEXT)
def test_nothing_to_change_changes_nothing_and_twice_is_once(text: str) -> None:
    assert edit(text, {}) == text
    assert edit(text, {each.span: each.device for each in targets(text)}) == text
    after = edit(text, {each.span: "UUID=x" for each in targets(text)})
    assert edit(after, {each.span: "UUID=x" for each in targets(after)}) == after
