"""xorg.conf(5): which driver the X server takes for the display and for the mouse."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span, splice

_WORDS = re.compile(
    r'[ \t]*(?P<keyword>Section|EndSection|Driver|BusID)\b[ \t]*(?:"(?P<value>[^"\n]*)")?', re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`section` is in lower case ("device", "inputdevice"); `bus` is where a line ties it to a slot."""

    section: str
    name: str
    span: Span
    bus: tuple[int, ...] = ()


def drivers(text: str) -> Iterator[Driver]:
    for section, words in _sections(text):
        bus = tuple(at for keyword, _, at, _ in words if keyword == "busid")
        for keyword, value, _, span in words:
            if keyword == "driver":
                yield Driver(section=section, name=value, span=span, bus=bus)


def with_display_driver(text: str, old: str, new: str) -> str:
    """The driver `new` in each Device section that names `old`, and no slot: the card has another one."""
    edits: dict[Span, str] = {}
    for one in drivers(text):
        if one.section == "device" and one.name.lower() == old:
            edits[one.span] = new
            edits |= {Span(at, at): "# " for at in one.bus}
    return splice(text, edits)


_Word = tuple[
    str, str, int, Span
]  # keyword in lower case, value, where the keyword stands, the value's place


def _sections(text: str) -> Iterator[tuple[str, list[_Word]]]:
    section, words, start = "", list[_Word](), 0
    for line in text.split("\n"):
        found = _WORDS.match(line)
        keyword = found["keyword"].lower() if found else ""
        if found and keyword in ("section", "endsection"):
            yield section, words
            section, words = (found["value"] or "").lower() if keyword == "section" else "", []
        elif found and found["value"] is not None:
            place = Span(start + found.start("value"), start + found.end("value"))
            words.append((keyword, found["value"], start + found.start("keyword"), place))
        start += len(line) + 1
    yield section, words
