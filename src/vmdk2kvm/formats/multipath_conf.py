"""multipath.conf(5): the WWIDs of disks that are named in it, and under which alias.

Sections in braces hold `keyword value` lines; "#" and "!" begin comments. Read only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""[#!][^\n]*|(\})|([A-Za-z_]+)[ \t\r\n]*(\{)|([A-Za-z_]+)[ \t]+("[^"\n]*"|[^\s{}#!]+)"""
)
_VMWARE = re.compile(r"3?6000c29[0-9a-f]*|VMware.*|.*VMware_Virtual.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wwid:
    """`section` is where it stands ("blacklist", "multipath"), `alias` the name given to that disk."""

    section: str
    value: str
    alias: str | None

    @property
    def is_of_vmware(self) -> bool:
        """Whether a virtual disk of VMware has it: a disk of KVM never does."""
        return _VMWARE.match(self.value) is not None


def wwids(text: str) -> Iterator[Wwid]:
    sections: list[str] = []
    pairs: list[tuple[str, str]] = []
    for token in _TOKEN.finditer(text):
        if token[3]:
            sections.append(token[2])
            pairs = []
        elif token[1]:
            yield from _named(sections[-1] if sections else "", pairs)
            sections = sections[:-1]
            pairs = []
        elif token[4]:
            pairs.append((token[4], token[5].strip('"')))


def _named(section: str, pairs: list[tuple[str, str]]) -> Iterator[Wwid]:
    alias = next((value for key, value in pairs if key == "alias"), None)
    return (Wwid(section=section, value=value, alias=alias) for key, value in pairs if key == "wwid")
