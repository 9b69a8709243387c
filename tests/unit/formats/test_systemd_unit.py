"""systemd's units: settings by place, and names as systemd-escape(1) gives them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.spans import splice
from vmdk2kvm.formats.systemd_unit import devices, path_of, settings, unit_name, waits_for

UNIT = """\
# What=/dev/sdz9
What=/dev/sdy1
[Unit]
After=network.target dev-sdb1.device
Requires=dev-sdb1.device
  dev-sdx.device
Description=dev-sdc1.device
BindsTo=dev-sdd1.device \\
  dev-sde1.device

[Mount]
 What = /dev/sdb1\t
Where=/srv
[Install]
WantedBy=dev-sdf1.device
"""
_TEXT = st.text(st.sampled_from("[Mount]What=/dev/sda1 \t\r\n#;\\\udcff"), max_size=60)


def test_what_a_mount_takes() -> None:
    (found,) = devices(UNIT)
    assert (found.section, found.key, found.value) == ("Mount", "What", "/dev/sdb1")
    assert found.span and UNIT[found.span.start : found.span.end] == "/dev/sdb1"
    assert splice(UNIT, {found.span: "/dev/x"}) == UNIT.replace("= /dev/sdb1\t", "= /dev/x\t")


def test_what_a_unit_waits_for() -> None:
    found = list(waits_for(UNIT))
    assert [name for name, _ in found] == ["dev-sdb1.device", "dev-sdb1.device", "dev-sdd1.device"]
    assert [bool(span) for _, span in found] == [True, True, False]
    assert all(UNIT[span.start : span.end] == name for name, span in found if span)


def test_a_swap_and_an_empty_setting() -> None:
    assert [each.value for each in devices("[Swap]\r\nWhat=/dev/sda5\r\nWhat=\r\n")] == ["/dev/sda5"]
    assert next(devices("[Swap]\nWhat=/dev/sd\\\na5\n")).span is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/dev/sda2", "dev-sda2.swap"),
        ("/dev/disk/by-uuid/0a-b", "dev-disk-by\\x2duuid-0a\\x2db.swap"),
        ("/dev/disk/by-label/a b", "dev-disk-by\\x2dlabel-a\\x20b.swap"),
        ("/.swap", "\\x2eswap.swap"),
        ("//dev//é/", "dev-\\xc3\\xa9.swap"),
        ("/", "-.swap"),
    ],
)
def test_names_of_units(path: str, name: str) -> None:
    assert unit_name(path, "swap") == name


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1
    )
)
def test_a_unit_name_gives_its_path_back(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert path_of(unit_name(path, "device")) == path


@given(_TEXT)
def test_spans_hold_the_values(text: str) -> None:
    found = list(settings(text))
    assert all(text[each.span.start : each.span.end] == each.value for each in found if each.span)
    assert splice(text, {each.span: each.value for each in found if each.span}) == text
