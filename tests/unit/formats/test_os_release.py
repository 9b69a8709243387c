from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.os_release import parse


def test_quotes_and_escapes() -> None:
    text = (
        "# comment\n"
        'NAME="Debian GNU/Linux"\n'
        "ID=debian\n"
        "VERSION_ID='12'\n"
        'PRETTY_NAME="a \\"b\\" \\$c \\\\ \\x"\n'
        "ODD=a\\ b\r\n"
        "not an assignment\n"
        'OPEN="never closed\n'
    )
    assert parse(text) == {
        "NAME": "Debian GNU/Linux",
        "ID": "debian",
        "VERSION_ID": "12",
        "PRETTY_NAME": 'a "b" $c \\ \\x',
        "ODD": "a b",
        "OPEN": '"never closed',
    }


def test_the_last_assignment_counts() -> None:
    assert parse("ID=a\nID=b\n") == {"ID": "b"}


@given(st.text(st.characters(exclude_characters="\n\r"), max_size=20))
def test_double_quotes_hold_any_value(value: str) -> None:
    escaped = "".join(f"\\{each}" if each in '"\\$`' else each for each in value)
    assert parse(f'NAME="{escaped}"') == {"NAME": value}


@given(st.text(max_size=200))
def test_any_text_parses(text: str) -> None:
    parse(text)
