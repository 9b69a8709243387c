"""mdadm.conf(5), read and edited without touching a byte more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.device_names import loses_disks
from vmdk2kvm.formats.mdadm_conf import arrays, edit, identity_of, lines, scanned

_TEXT = st.text(st.sampled_from("DEVICEARAYdev/sda1=,* \t\n#\"'\udcff"), max_size=60)
_LINES = st.lists(
    st.sampled_from(
        [
            "DEVICE /dev/sda1 /dev/sdb1",
            "DEVICE partitions containers",
            'dev "/dev/sd[ab]*"',
            "  /dev/sdc1 # more",
            "ARRAY /dev/md0 UUID=1:2:3:4 devices=/dev/sda1,/dev/sdb1",
            "ARRAY /dev/md1 devices=/dev/sda2",
            "array <ignore> uuid=1:2:3:5",
            "MAILADDR root",
            "# DEVICE /dev/sda1",
            "",
        ]
    ),
    max_size=6,
)


def edited(text: str, uuid: str | None = None) -> str:
    return edit(text, loses_disks, lambda _: uuid)[0]


def test_keywords_words_and_continuations() -> None:
    text = 'dev /dev/sda1 "/dev/my disk"\n\t/dev/sdb1 # not /dev/sdc1\n\nARR md0\nMAILADDR root#x\n'
    assert [(line.keyword, [word.value for word in line.words]) for line in lines(text)] == [
        ("device", ["/dev/sda1", "/dev/my disk", "/dev/sdb1"]),
        ("array", ["md0"]),
        ("mailaddr", ["root#x"]),
    ]
    assert scanned(text) == ("/dev/sda1", "/dev/my disk", "/dev/sdb1")


def test_an_array() -> None:
    line = "ARRAY /dev/md0 level=raid1 Name=h:0 UUID=AB-CD devices=/dev/sda1,/dev/sdb1\n"
    (array,) = arrays(line + "ARR\n".replace("ARR\n", ""))
    assert (array.names, array.name, array.has_identity) == (("/dev/md0",), "h:0", True)
    assert array.members == ("/dev/sda1", "/dev/sdb1")
    (bare,) = arrays("ARRAY <ignore> devices=/dev/sda1")
    assert (bare.names, bare.uuid, bare.has_identity) == ((), None, False)


def test_the_identity_of_an_array() -> None:
    assert identity_of("8F9A3C1E-0000-1111-2222-333344445555") == "8f9a3c1e:00001111:22223333:44445555"
    assert identity_of("8f9a3c1e:00001111:22223333:44445555") == "8f9a3c1e:00001111:22223333:44445555"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("DEVICE /dev/sda1 /dev/sdb1\n", "DEVICE partitions\n"),
        ("DEVICE  /dev/sd*  containers # all\n", "DEVICE  partitions  containers # all\n"),
        ("DEVICE partitions /dev/sda1\n", "DEVICE partitions\n"),
        ("DEVICE /dev/sda1 partitions\n", "DEVICE partitions\n"),
        ("device /dev/sda1\n  /dev/sdb1\n", "device partitions\n\n"),
        ('DEVICE "/dev/sd[ab]1"\r\n', "DEVICE partitions\r\n"),
        ("DEVICE /dev/mapper/* /dev/vd* /dev/*\n", None),
        ("# DEVICE /dev/sda1\n", None),
        (
            "ARRAY /dev/md0 UUID=1:2:3:4 devices=/dev/sda1,/dev/sdb1 spares=1\n",
            "ARRAY /dev/md0 UUID=1:2:3:4 spares=1\n",
        ),
        ("ARRAY /dev/md0 super-minor=0 devices=/dev/sda1\n", "ARRAY /dev/md0 super-minor=0\n"),
        ("ARRAY /dev/md0 UUID=1:2:3:4 devices=/dev/mapper/a\n", None),
        ("ARRAY /dev/md0 UUID=1:2:3:4\n", None),
    ],
)
def test_edits(before: str, after: str | None) -> None:
    assert edited(before) == (before if after is None else after)


def test_an_array_known_by_its_members_only() -> None:
    text = "ARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1\n"
    assert edited(text, "a:b:c:d") == "ARRAY /dev/md0 UUID=a:b:c:d\n"
    after, left = edit(text, loses_disks, lambda _: None)
    assert after == text
    assert [array.names for array in left] == [("/dev/md0",)]


@pytest.mark.parametrize(
    ("pattern", "loses"),
    [
        ("/dev/sda1", True),
        ("/dev/sd*", True),
        ("/dev/sd[a-c]?", True),
        ("/dev/[hs]d*", True),
        ("/dev/disk/by-path/*", True),
        ("/dev/disk/by-id/ata-*", True),
        ("/dev/nvme*", True),
        ("/dev/sda[23]", True),
        ("/dev/sd?7", True),
        ("/dev/sd*[!1]", True),
        ("/dev/hdc14*", True),
        ("/dev/[sv]da[23]", False),
        ("/dev/[hsv]d*", False),
        ("/dev/vd*", False),
        ("/dev/*", False),
        ("/dev/mapper/*", False),
        ("/dev/disk/by-uuid/*", False),
        ("partitions", False),
        ("/dev/" + "*a" * 400, False),
    ],
)
def test_patterns_that_lose_disks(pattern: str, loses: bool) -> None:
    assert loses_disks(pattern) is loses


@given(_TEXT)
def test_nothing_to_change_changes_nothing(text: str) -> None:
    assert edit(text, lambda _: False, lambda _: "x") == (text, ())


@given(st.one_of(_TEXT, _LINES.map("\n".join)))
def test_twice_is_once_and_no_stale_name_is_left(text: str) -> None:
    after = edited(text, "a:b:c:d")
    assert edited(after, "a:b:c:d") == after
    assert not any(map(loses_disks, scanned(after)))
    assert not any(loses_disks(member) for array in arrays(after) for member in array.members)


@given(_LINES)
def test_lines_of_other_keywords_stay(given_lines: list[str]) -> None:
    kept = [line for line in given_lines if line.startswith(("MAIL", "#"))]
    assert [
        line for line in edited("\n".join(given_lines)).split("\n") if line.startswith(("MAIL", "#"))
    ] == kept
