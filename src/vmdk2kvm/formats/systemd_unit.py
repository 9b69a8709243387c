"""systemd's mount and swap units (systemd.mount(5), systemd.swap(5)) and the names of units.

A swap unit must be called after its device; systemd refuses one that is not. Names are escaped as
systemd-escape(1) does it: "/" becomes "-", other characters "\\x2d".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span

_SETTING = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_SAFE = re.compile(r"[A-Za-z0-9:_.]")
_DEVICE_WORD = re.compile(r"[^\s=]+\.device")
_NAMES_DEVICE = {"Mount": "What", "Swap": "What"}
_WAITS = frozenset({"After", "Requires", "BindsTo", "Wants", "Requisite", "PartOf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One `key=value`; `span` is where the value is written, None where it goes on over several lines: then
    `value` is what stands on the first."""

    section: str
    key: str
    value: str
    span: Span | None


def settings(text: str) -> Iterator[Setting]:
    """In order; comments and lines of no section are passed over."""
    section, start, continues = "", 0, False
    for line in text.split("\n"):
        content = line.rstrip()
        found = None if continues else _SETTING.match(content)
        continues = content.endswith("\\")
        if found is not None and section:
            place = Span(start + found.end(), start + len(content))
            yield Setting(
                section=section,
                key=found[1],
                value=content[found.end() :].rstrip("\\").rstrip() if continues else content[found.end() :],
                span=None if continues else place,
            )
        elif found is None and content.strip().startswith("["):
            section = content.strip().strip("[]")
        start += len(line) + 1


def devices(text: str) -> Iterator[Setting]:
    """What a mount or swap unit takes its content from: the last setting holds, an empty one clears."""
    return (each for each in settings(text) if _NAMES_DEVICE.get(each.section) == each.key and each.value)


def waits_for(text: str) -> Iterator[tuple[str, Span | None]]:
    """The device units that a unit names as a condition of its own start, and where they are written."""
    for each in settings(text):
        if each.section == "Unit" and each.key in _WAITS:
            for word in _DEVICE_WORD.finditer(each.value):
                start = each.span.start if each.span else 0
                place = Span(start + word.start(), start + word.end()) if each.span else None
                yield word[0], place


def unit_name(path: str, suffix: str) -> str:
    """ "/dev/sda2", "swap" → "dev-sda2.swap"."""
    parts = "/".join(part for part in path.split("/") if part)
    escaped = "".join(map(_escaped, parts.encode("utf-8", "surrogateescape").decode("latin-1")))
    if escaped.startswith("."):
        escaped = f"\\x2e{escaped[1:]}"
    return f"{escaped or '-'}.{suffix}"


def path_of(name: str) -> str:
    """The path that a unit is called after: "dev-sda2.swap" → "/dev/sda2"."""
    stem = name.rpartition(".")[0]
    raw = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), stem.replace("-", "/"))
    return "/" + raw.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def _escaped(character: str) -> str:
    if character == "/":
        return "-"
    return character if _SAFE.fullmatch(character) else f"\\x{ord(character):02x}"
