"""/etc/network/interfaces of ifupdown: interfaces(5), with vlan-interfaces(5), bridge-utils-interfaces(5)
and ifenslave's options. Read only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from vmdk2kvm.formats.interface_names import is_plain
from vmdk2kvm.model.network import Interface

_MADE = re.compile(
    r"bond[-_](?:mode|slaves)|slaves|bridge[-_]ports|vlan[-_](?:raw[-_]device|id)|ovs_type|vxlan-.*"
)
_BELOW = re.compile(r"bond[-_]slaves|slaves|bridge[-_]ports|vlan[-_]raw[-_]device")
_SOFTWARE_METHODS = frozenset({"loopback", "tunnel", "ppp", "wvdial", "v4tunnel", "6to4"})
_NO_NAMES = frozenset({"none", "all", "regex", "noregex"})
_VLAN_NAME = re.compile(r"(.+)\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfacesFile:
    """`sources` are the patterns of `source` lines, `folders` those of `source-directory`, as written."""

    stanzas: tuple["Stanza", ...]
    started: frozenset[str]  # by `auto` and `allow-…`
    logical: frozenset[str]  # names that `map` lines choose between: configurations, not interfaces
    sources: tuple[str, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    name: str
    method: str
    options: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Reading:
    stanzas: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    logical: set[str] = field(default_factory=set)
    sources: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    inside: str = ""

    def take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word in ("source", "source-directory"):
            (self.sources if word == "source" else self.folders).append(rest.strip())
        elif word == "auto" or word.startswith("allow-"):
            self.started.update(rest.split())
        elif word in ("iface", "mapping", "template"):
            self.inside = word
            if word == "iface":
                name, _, method = (*rest.split(), "", "", "")[:3]
                self.stanzas.append((name, method, []))
        elif self.inside == "mapping" and word == "map":
            self.logical.update(rest.split()[-1:])
        elif self.inside == "iface":
            self.stanzas[-1][2].append((word, rest.strip()))


def parse(text: str) -> InterfacesFile:
    reading = _Reading()
    for line in _logical_lines(text):
        reading.take(" ".join(line.split()))
    stanzas = (
        Stanza(name=name, method=method, options=tuple(options))
        for name, method, options in reading.stanzas
        if name
    )
    return InterfacesFile(
        stanzas=tuple(stanzas),
        started=frozenset(reading.started),
        logical=frozenset(reading.logical),
        sources=tuple(reading.sources),
        folders=tuple(reading.folders),
    )


def interfaces(stanzas: tuple[Stanza, ...], files: tuple[InterfacesFile, ...]) -> tuple[Interface, ...]:
    """What `stanzas` say; any of `files` may start, or map to, what they describe."""
    started = frozenset().union(*(file.started for file in files))
    logical = frozenset().union(*(file.logical for file in files))
    return tuple(_interface(stanza, started) for stanza in stanzas if stanza.name not in logical)


def _interface(stanza: Stanza, started: frozenset[str]) -> Interface:
    name, colon, _ = stanza.name.partition(":")
    starts = bool({stanza.name, name} & started)
    if colon:  # another address of an interface that has a stanza of its own
        return Interface(name=None, virtual=True, below=_plain(name), starts=starts)
    vlan = _VLAN_NAME.fullmatch(name)
    virtual = (
        vlan is not None
        or stanza.method in _SOFTWARE_METHODS
        or any(_MADE.fullmatch(key) for key, _ in stanza.options)
    )
    below = _below(stanza, vlan[1] if vlan else None) if virtual else ()
    return Interface(name=name if is_plain(name) else None, virtual=virtual, below=below, starts=starts)


def _below(stanza: Stanza, vlan_of: str | None) -> tuple[str, ...]:
    words = [word for key, value in stanza.options if _BELOW.fullmatch(key) for word in value.split()]
    has_device = any(key.startswith("vlan") for key, _ in stanza.options)
    if vlan_of and not has_device:
        words.append(vlan_of)
    return tuple(word for word in words if word not in _NO_NAMES and is_plain(word))


def _plain(name: str) -> tuple[str, ...]:
    return (name,) if is_plain(name) else ()


def _logical_lines(text: str) -> Iterator[str]:
    """Without comments and blank lines, continued lines joined."""
    joined = ""
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            continue
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        if whole := (joined + line).strip():
            yield whole
        joined = ""
    if joined.strip():
        yield joined.strip()
