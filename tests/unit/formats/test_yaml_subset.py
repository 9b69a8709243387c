"""The reader agrees with PyYAML wherever it does not refuse."""

import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.yaml_subset import Node, parse

_WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=("Cc",)), max_size=12
)
_NAMES = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=8)
_DATA = st.recursive(
    _WORDS | _NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | _WORDS, inner, max_size=4),
    max_leaves=20,
)


def reference(text: str) -> object:
    """As PyYAML reads it with every scalar as text; an empty scalar counts as none."""
    return without_empty(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506 (it builds text only)


def without_empty(node: object) -> object:
    if isinstance(node, list):
        return [without_empty(one) for one in node]
    if isinstance(node, dict):
        return {key: without_empty(one) for key, one in node.items()}
    return node or None


@pytest.mark.parametrize("flow", [True, False, None])
@given(data=_DATA)
def test_what_a_tool_writes_is_read_as_it_was_meant(flow: bool | None, data: object) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, width=10_000, allow_unicode=True)
    try:
        found = parse(text.removesuffix("...\n"))
    except GuestError:
        # Keys that are no single scalar, what may be one, and a "#" that may begin a comment.
        assert any(odd in text for odd in ("?", "---", " #"))
        return
    assert without_empty(found) == reference(text)


@given(st.text(alphabet="ab:-#[]{},'\" \n\\", max_size=40))
def test_it_never_misreads(text: str) -> None:
    """Refusing is allowed, reading otherwise than a YAML parser does is not."""
    try:
        found: Node = parse(text)
    except GuestError:
        return
    assert without_empty(found) == reference(text)


def test_the_forms_that_network_configurations_use() -> None:
    text = (
        "# written by hand\n"
        "---\n"
        "network:\n"
        "  version: 2\n"
        "  ethernets:\n"
        "    ens192:   # the first one\n"
        "      addresses: [192.0.2.10/24, '2001:db8::10/64']\n"
        "      nameservers: {addresses: [192.0.2.1], search: []}\n"
        "      routes:\n"
        "      - to: default\n"
        "        via: 192.0.2.1\n"
        "      - {to: 10.0.0.0/8,\n"
        "         via: 192.0.2.2}\n"
        '    "ens224":\n'
        "      dhcp4: true\r\n"
        "      match:\n"
        "        macaddress: 00:50:56:8a:00:01\n"
        "  bonds:\n"
    )
    assert parse(text) == {
        "network": {
            "version": "2",
            "ethernets": {
                "ens192": {
                    "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
                    "nameservers": {"addresses": ["192.0.2.1"], "search": []},
                    "routes": [
                        {"to": "default", "via": "192.0.2.1"},
                        {"to": "10.0.0.0/8", "via": "192.0.2.2"},
                    ],
                },
                "ens224": {"dhcp4": "true", "match": {"macaddress": "00:50:56:8a:00:01"}},
            },
            "bonds": None,
        }
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x b\n", 1),
        ("a: 1\nb: *x\n", 2),
        ("a: !t b\n", 1),
        ("a: |\n  b\n", 1),
        ("a: b\n  c\n", 2),
        ("a: b\n\tc: d\n", 2),
        ("a: [b\n", 1),
        ("a: [b]]\n", 1),
        ("a: b: c\n", 1),
        ('a: "\\q"\n', 1),
        ("? a\n: b\n", 1),
        ("a: b\n---\nc: d\n", 2),
        ("%YAML 1.2\n", 1),
        ("a: " + "[" * 100 + "]" * 100, 1),
        ("a: " + "b" * 5000, 1),
        ("- " * 60 + "a", 1),
    ],
)
def test_what_is_left_out_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(GuestError) as caught:
        parse(text)
    assert caught.value.message.startswith(f"line {line} ")
