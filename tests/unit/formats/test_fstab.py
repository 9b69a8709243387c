import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.fstab import Entry, Replacement, edit, entries, split_options

any_text = st.binary(max_size=400).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
fstab_text = st.text(alphabet=' \t\n\r#\\0453/=,"abäU' + "\udcff", max_size=300)
new_value = st.text(alphabet=' \t\n\r#\\04/=,"ab', min_size=1, max_size=12)


def entry_of(line: str) -> Entry:
    (entry,) = entries(line)
    return entry


def test_six_fields() -> None:
    entry = entry_of("/dev/sda1\t/boot  ext4\trw,nofail 1 2")
    assert (entry.spec, entry.mountpoint, entry.type, entry.options) == (
        "/dev/sda1",
        "/boot",
        "ext4",
        "rw,nofail",
    )
    assert (entry.dump, entry.passno, entry.line) == (1, 2, 1)


def test_fields_may_end_early_or_hold_no_number() -> None:
    assert (entry_of("a b c").options, entry_of("a b c d").dump, entry_of("a b c d 1").passno) == (
        None,
        None,
        None,
    )
    assert entry_of("a b c d x ²").dump is None
    assert entry_of("a b c d x ²").passno is None


@pytest.mark.parametrize("line", ["", "   ", "# /dev/sda1 / ext4", " \t#x y z", "/dev/sda1 /", "\r"])
def test_no_entry(line: str) -> None:
    assert list(entries(line)) == []


def test_escapes_are_bytes() -> None:
    assert entry_of(r"LABEL=a\040b /caf\303\251 ext4").spec == "LABEL=a b"
    assert entry_of(r"LABEL=a\040b /caf\303\251 ext4").mountpoint == "/café"
    assert entry_of(r"a\134040b /x\9 ext4").spec == r"a\040b"
    assert entry_of(r"a /\777\400 ext4").mountpoint == r"/\777\400"
    assert entry_of("a /x\\351 ext4").mountpoint == "/x\udce9"


def test_lines_end_at_newlines_only() -> None:
    text = "a /1 ext4\x0bb /2 ext4\u2028c\x85d /3 ext4\r\ne /4 ext4\r\n"
    assert [entry.line for entry in entries(text)] == [1, 2]
    assert [entry.type for entry in entries(text)] == ["ext4\x0bb", "ext4"]


def test_edit_changes_one_field() -> None:
    text = "# c\n\t/dev/sda1  /\text4   rw,x 0 1 # end\r\n/dev/sda2 none swap sw"
    assert edit(text, {2: Replacement(spec="UUID=1")}) == text.replace("/dev/sda1", "UUID=1")
    assert edit(text, {3: Replacement(options="sw,pri=1")}) == text + ",pri=1"


def test_edit_adds_the_field_that_is_not_there() -> None:
    assert edit("a b btrfs\t\r\n", {1: Replacement(options="subvol=@ x")}) == "a b btrfs subvol=@\\040x\t\r\n"


def test_what_is_right_already_keeps_its_spelling() -> None:
    assert edit("LABEL=\\141 / x", {1: Replacement(spec="LABEL=a")}) == "LABEL=\\141 / x"


def test_a_line_without_entry_cannot_be_edited() -> None:
    with pytest.raises(KeyError):
        edit("# a b c", {1: Replacement(spec="x")})


def test_split_options_minds_quotes() -> None:
    assert split_options('rw,context="s0:c1,c2",x') == ("rw", 'context="s0:c1,c2"', "x")
    assert split_options("a,,b,") == ("a", "", "b", "")
    assert split_options('a"b,c') == ('a"b,c',)


@given(st.text(alphabet='a,"=', max_size=30))
def test_options_joined_again_are_the_same(options: str) -> None:
    assert ",".join(split_options(options)) == options


@given(any_text | fstab_text)
def test_nothing_to_change_changes_nothing(text: str) -> None:
    assert edit(text, {}) == text
    same = {e.line: Replacement(spec=e.spec, options=e.options) for e in entries(text)}
    assert edit(text, same) == text


@given(fstab_text, new_value.filter(lambda value: not value.startswith("#")), new_value)
def test_editing_twice_is_editing_once(text: str, spec: str, options: str) -> None:
    wanted = {entry.line: Replacement(spec=spec, options=options) for entry in entries(text)}
    once = edit(text, wanted)
    assert [(e.line, e.spec, e.options) for e in entries(once)] == [(line, spec, options) for line in wanted]
    assert edit(once, wanted) == once


# a few hundred fstabs as machines have them

COMMENTS = [
    "# /etc/fstab: static file system information.",
    "#",
    "# <file system> <mount point>   <type>  <options>       <dump>  <pass>",
    "# / was on /dev/sda1 during installation",
    "   # Pl\u00e4tze f\u00fcr Daten",
    "#Entry for /dev/sdb1 :",
    "\t",
    "",
    "# latin1: \udce9\udcfc",
]
SPECS = [
    "UUID=5f3c-11",
    'LABEL="data"',
    "/dev/mapper/vg-root",
    "tmpfs",
    "nfs:/x",
    r"//srv/a\040b",
    "/swapfile",
    "proc",
]
DEVICES = ["/dev/sda1", "/dev/sdb", "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:1:0-part2", "/dev/nvme0n1p3"]
POINTS = ["/", "/home", "none", "/srv/caf\u00e9", r"/mnt/with\040blank", "/m\udcfcll", "swap"]
TYPES = ["ext4", "xfs", "btrfs", "swap", "vfat", "auto", "udf,iso9660"]
OPTIONS = [
    "defaults",
    "errors=remount-ro",
    "subvol=@,compress=zstd",
    'context="a:b,c"',
    "rw,noatime,x-systemd.device-timeout=5",
    "sw",
]
GAPS = [" ", "\t", "\t\t", "        ", " \t "]


def random_line(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(COMMENTS)
    fields = [
        rng.choice(SPECS + DEVICES),
        rng.choice(POINTS),
        rng.choice(TYPES),
        rng.choice(OPTIONS),
        "0",
        "2",
        "# end",
    ]
    line = rng.choice(["", "", "", " ", "\t"])
    for field in fields[: rng.randint(4, 7)]:
        line += field + rng.choice(GAPS)
    return line.rstrip() if rng.random() < 0.8 else line


def random_fstab(rng: random.Random) -> str:
    end = rng.choice(["\n", "\n", "\r\n"])
    return end.join(random_line(rng) for _ in range(rng.randint(1, 25))) + rng.choice([end, ""])


@pytest.mark.parametrize("seed", range(400))
def test_untouched_lines_survive(seed: int) -> None:
    text = random_fstab(random.Random(seed))
    raw = text.encode("utf-8", "surrogateescape")
    wanted = {e.line: Replacement(spec="UUID=new") for e in entries(text) if e.spec in DEVICES}
    after = edit(text, wanted)
    before_lines, after_lines = raw.split(b"\n"), after.encode("utf-8", "surrogateescape").split(b"\n")
    assert len(before_lines) == len(after_lines)
    for number, (old, new) in enumerate(zip(before_lines, after_lines, strict=True), start=1):
        named = [device.encode() for device in DEVICES if old.split()[:1] == [device.encode()]]
        assert bool(named) == (number in wanted)
        assert new == (old.replace(named[0], b"UUID=new", 1) if named else old)
    assert edit(after, wanted) == after


def test_ten_megabytes_take_linear_time() -> None:
    text = "/dev/sda1 / ext4 defaults 0 1\n" * 350_000
    started = time.monotonic()
    assert edit(text, {350_000: Replacement(spec="UUID=1")}).endswith("\nUUID=1 / ext4 defaults 0 1\n")
    assert time.monotonic() - started < 30
