"""udev rules that name network interfaces: udev(7), and the generated 70-persistent-net.rules."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from vmdk2kvm.formats.interface_names import is_plain, parse_mac
from vmdk2kvm.formats.spans import Span, splice

_PAIR = re.compile(
    r'(?<![A-Z_])([A-Z_]+)(?:\{([^}"]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*[ei]?"((?:[^"\\\n]|\\.)*)"'
)
_GENERATED_COMMENT = re.compile(r"# PCI device [^\n]*\n\Z")
_ADDRESS_KEYS = frozenset({("ATTR", "address"), ("ATTRS", "address"), ("SYSFS", "address")})
_HARDWARE_KEYS = frozenset({"DRIVERS", "DRIVER", "KERNELS", "ID", "BUS"})
_ANY = frozenset({"?*", "*", "pci"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingRule:
    """A rule that calls a card `name`: the one with `mac`, or one on `hardware` that KVM does not have.

    `span` covers its lines, the newline and the comment that the generator wrote above it included.
    """

    name: str
    mac: str | None
    hardware: str | None
    span: Span


def naming_rules(text: str) -> tuple[NamingRule, ...]:
    return tuple(rule for span, line in _logical_lines(text) if (rule := _naming_rule(text, span, line)))


def without(text: str, rules: Collection[NamingRule]) -> str:
    return splice(text, {rule.span: "" for rule in rules})


def render_rule(name: str, *, mac: str | None, drivers: str) -> str:
    """A rule for systems that do not know .link files, as the generator of those systems writes it."""
    card = f'DRIVERS=="?*", ATTR{{address}}=="{mac}"' if mac else f'DRIVERS=="{drivers}"'
    return f'SUBSYSTEM=="net", ACTION=="add", {card}, ATTR{{type}}=="1", NAME="{name}"\n'


def _logical_lines(text: str) -> Iterator[tuple[Span, str]]:
    start = 0
    for found in re.finditer(r"(?:[^\\\n]|\\(?!\n)|\\\n)*(?:\n|\Z)", text):
        if found[0]:
            yield Span(start, found.end()), found[0]
        start = found.end()


def _naming_rule(text: str, span: Span, line: str) -> NamingRule | None:
    if line.lstrip().startswith("#"):
        return None
    pairs = [(key, attribute, sign, value) for key, attribute, sign, value in _PAIR.findall(line)]
    names = [value for key, _, sign, value in pairs if key == "NAME" and sign in ("=", ":=")]
    is_net = any(key == "SUBSYSTEM" and value == "net" for key, _, _, value in pairs)
    if len(names) != 1 or not is_plain(names[0]) or not is_net:
        return None
    matches = [(key, attribute, value) for key, attribute, sign, value in pairs if sign == "=="]
    comment = _GENERATED_COMMENT.search(text, max(0, span.start - 300), span.start)
    return NamingRule(
        name=names[0],
        mac=next((parse_mac(value) for key, attr, value in matches if (key, attr) in _ADDRESS_KEYS), None),
        hardware=next((value for key, _, value in matches if _is_of_vmware(key, value)), None),
        span=Span(comment.start() if comment else span.start, span.end),
    )


def _is_of_vmware(key: str, value: str) -> bool:
    """Whether no card of KVM fulfils that: another driver, or a place on VMware's buses."""
    if key not in _HARDWARE_KEYS or value in _ANY:
        return False
    return not any(fnmatchcase("virtio_net", pattern) for pattern in value.split("|"))
