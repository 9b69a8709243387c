"""Filters of lvm.conf(5): what they take, and how they come to take virtio disks."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.lvm_filter import Filter, filters, virtio_name, with_virtio_names

DISKS = ["/dev/sda2", "/dev/sdb"]
_WORDS = ["devices", "{", "}", "filter", "global_filter", "=", "[", "]", ",", "#", "\n", " ", '"', "'"]
_PATTERNS = ['"a|^/dev/sda2$|"', '"r|.*|"', '"a/sd.*/"', '"r|/dev/sdb|"', '"a|/dev/disk/by-id/.*|"', '"r|a("']
_TEXT = st.lists(st.sampled_from([*_WORDS, *_PATTERNS]), max_size=14).map("".join)
_FILTER = st.lists(st.sampled_from(_PATTERNS), max_size=4).map(
    lambda all_: conf(f"filter = [{', '.join(all_)}]")
)


def conf(line: str) -> str:
    return f'# filter = [ "r|.*|" ]\nconfig {{ checks = 1 }}\ndevices {{\n\tdir = "/dev"\n\t{line}\n}}\n'


def one(line: str) -> Filter:
    (found,) = filters(conf(line))
    return found


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('filter = [ "a|x|" ]', "filter"),
        ('global_filter=["a|x|","r|.*|"]', "global_filter"),
        ('filter = "a/x/"', "filter"),
        ("filter = [ 'a|x|',\n# a comment \"a|y|\"\n'r|.*|' ]", "filter"),
    ],
)
def test_where_filters_stand(line: str, name: str) -> None:
    assert one(line).name == name
    assert one(line).accepts(["x"])


def test_what_is_no_filter() -> None:
    assert list(filters('backup { filter = [ "r|.*|" ] }\nfilter = [ "r|.*|" ]\n')) == []
    assert [each.name for each in filters('devices/filter = [ "r|.*|" ]\n')] == ["filter"]


@pytest.mark.parametrize(
    ("elements", "names", "taken"),
    [
        ('"a|^/dev/sda2$|", "r|.*|"', ["/dev/sda2"], True),
        ('"a|^/dev/sda2$|", "r|.*|"', ["/dev/sda21"], False),
        ('"a|sda|", "r|.*|"', ["/dev/sda2"], True),  # anywhere in the name
        ('"r|^/dev/sdb|"', ["/dev/sda2"], True),  # nothing says a word
        ('"r|^/dev/sdb|"', ["/dev/sdb1"], False),
        ('"a|by-id|", "r|.*|"', ["/dev/sda2", "/dev/disk/by-id/x"], True),  # one good name is enough
        ('"r|sd|", "a|sda|"', ["/dev/sda2"], False),  # the first one counts
        ('"a/^\\/dev\\/sda2$/", "r/.*/"', ["/dev/sda2"], True),
        ('"a(sda)", "r{.*}"', ["/dev/sda2"], True),
        ('"a|/dev/(sda|sdb)[0-9]+|", "r|.*|"', ["/dev/sdb12"], True),
    ],
)
def test_what_a_filter_takes(elements: str, names: list[str], taken: bool) -> None:
    found = one(f"filter = [ {elements} ]")
    assert found.is_understood
    assert found.accepts(names) is taken


@pytest.mark.parametrize(
    "element",
    [
        "x|sda|",
        "a",
        "a|",
        "a|sda",
        "r|a(|",
        "a|(a*)*b|",
        "a|" + "a*" * 9 + "|",
        "a|a{3}|",
        "a|\\\\d|",
        "a|" + "x" * 300 + "|",
    ],
)
def test_what_is_not_understood(element: str) -> None:
    assert not one(f'filter = [ "{element}" ]').is_understood


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"a|^/dev/sda2$|", "r|.*|"', '"a|^/dev/vda2$|", "a|^/dev/sda2$|", "r|.*|"'),
        ('"a|/dev/sd.*|","r|.*|"', '"a|/dev/vd.*|", "a|/dev/sd.*|","r|.*|"'),
        (
            '"a/^\\/dev\\/sd[a-z]+[0-9]*$/", "r/.*/"',
            '"a/^\\/dev\\/vd[a-z]+[0-9]*$/", "a/^\\/dev\\/sd[a-z]+[0-9]*$/", "r/.*/"',
        ),
        ('"a|/dev/[hs]d.*|", "r|.*|"', '"a|/dev/vd.*|", "a|/dev/[hs]d.*|", "r|.*|"'),
        (
            '"a|^/dev/sda2$|", "a|^/dev/sdb$|", "r|.*|"',
            '"a|^/dev/vda2$|", "a|^/dev/sda2$|", "a|^/dev/vdb$|", "a|^/dev/sdb$|", "r|.*|"',
        ),
        ('"a|/dev/.*|", "r|.*|"', None),
        ('"r|/dev/cdrom|"', None),
        ('"a|/dev/sd.*|"', None),  # nothing rejects a virtio disk
        ('"a|/dev/disk/by-id/scsi-36000c29.*|", "r|.*|"', None),  # nobody knows which disk that is
        ('"a|(sda2)|", "r|[|"', None),
        ('"r|/dev/sda|", "a|sd|", "r|.*|"', '"r|/dev/sda|", "a|vd|", "a|sd|", "r|.*|"'),
    ],
)
def test_edits(before: str, after: str | None) -> None:
    text = conf(f"filter = [ {before} ]")
    assert with_virtio_names(text, DISKS) == (text if after is None else conf(f"filter = [ {after} ]"))


def test_virtio_names() -> None:
    assert list(map(virtio_name, ["/dev/sda2", "/dev/sdb", "/dev/hda1", "/dev/xvda"])) == [
        "/dev/vda2",
        "/dev/vdb",
        "/dev/vda1",
        "/dev/vda",
    ]


@given(_TEXT)
def test_no_disks_no_edit(text: str) -> None:
    assert with_virtio_names(text, []) == text


@given(st.one_of(_TEXT, _FILTER))
def test_twice_is_once_and_nothing_is_taken_away(text: str) -> None:
    after = with_virtio_names(text, DISKS)
    assert with_virtio_names(after, DISKS) == after
    for old, new in zip(filters(text), filters(after), strict=True):
        for name in (*DISKS, "/dev/vda2", "/dev/mapper/x"):
            if old.is_understood and old.accepts([name]):
                assert new.accepts([name])


@given(_FILTER)
def test_a_disk_that_was_taken_is_taken_as_virtio_disk(text: str) -> None:
    (before,), (after,) = filters(text), filters(with_virtio_names(text, DISKS))
    for name in DISKS if before.is_understood else ():
        element = before.deciding(name)
        if element is not None and element.accepts:
            assert after.accepts([virtio_name(name)])


@pytest.mark.parametrize(
    "text",
    ["filter = [" + '"a|sd|", ' * 20_000, "devices { filter = " * 10_000, '"\\"' * 50_000, "{" * 200_000],
)
def test_hostile_files_end_soon(text: str) -> None:
    started = time.monotonic()
    with_virtio_names("devices {\n" + text, DISKS)
    assert time.monotonic() - started < 40
