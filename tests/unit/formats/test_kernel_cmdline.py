import time

from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.kernel_cmdline import parameters
from vmdk2kvm.formats.spans import splice

cmdline = st.text(alphabet=' \t\n"=rootesum/dva1', max_size=200) | st.lists(
    st.sampled_from(
        [
            "root=/dev/sda1",
            'root="/dev/sda1"',
            '"root=/dev/sda1"',
            "quiet",
            "ro",
            'x="a b"',
            "resume=/dev/sda5",
            "root=",
            "é\udcff",
        ]
    )
).map(" ".join)


def seen(text: str) -> list[tuple[str, str | None]]:
    return [(each.name, each.value) for each in parameters(text)]


def with_root(text: str, value: str) -> str:
    roots = [each.span for each in parameters(text) if each.name == "root" and each.span]
    return splice(text, dict.fromkeys(roots, value))


def test_names_and_values() -> None:
    assert seen("ro  root=/dev/sda1\tquiet\nconsole=ttyS0,115200 a=b=c x=") == [
        ("ro", None),
        ("root", "/dev/sda1"),
        ("quiet", None),
        ("console", "ttyS0,115200"),
        ("a", "b=c"),
        ("x", ""),
    ]


def test_double_quotes_protect_blanks() -> None:
    assert seen('dyndbg="file a.c +p" "root=/dev/sda1 x" y"z w"=1 open="a b') == [
        ("dyndbg", "file a.c +p"),
        ("root", "/dev/sda1 x"),
        ('y"z w"', "1"),
        ("open", "a b"),
    ]


def test_quotes_stay_around_a_new_value() -> None:
    assert with_root('a root="/dev/sda1"  "root=/dev/sda1" b', "U") == 'a root="U"  "root=U" b'
    assert with_root("root=/dev/sda1", "U") == "root=U"
    assert with_root("notroot=/dev/sda1 root", "U") == "notroot=/dev/sda1 root"


@given(cmdline)
def test_nothing_to_change_changes_nothing(text: str) -> None:
    assert splice(text, {each.span: each.value or "" for each in parameters(text) if each.span}) == text


@given(cmdline)
def test_editing_twice_is_editing_once(text: str) -> None:
    once = with_root(text, "UUID=1")
    assert with_root(once, "UUID=1") == once
    kept = [each for each in seen(text) if each[0] != "root"]
    assert [each for each in seen(once) if each[0] != "root"] == kept


def test_many_and_odd_parameters_take_linear_time() -> None:
    started = time.monotonic()
    assert len(seen("root=/dev/sda1 " * 100_000)) == 100_000
    assert len(seen('"' * 1_000_001)) == 1
    assert len(seen('a"' * 500_000)) == 1
    assert time.monotonic() - started < 20
