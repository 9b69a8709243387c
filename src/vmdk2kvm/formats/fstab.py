"""fstab(5): which file systems a machine mounts.

Fields stand between spaces and tabs; space, tab, newline, backslash and "#" inside a field are
written as octal escapes ("\\040"). A line may end in CR LF.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span, splice

_FIELD = re.compile(r"[^ \t]+")
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_MUST_ESCAPE = re.compile(r"[ \t\n\r\\#]")
_QUOTED_OR_COMMA = re.compile(r'"[^"]*"?|,')
_NUMBER = re.compile(r"[0-9]{1,9}")
_LEAST_FIELDS = 3  # libmount takes a line without options as one with defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line that mounts something, its escapes resolved. `line` is 1-based.

    `options`, `dump` and `passno` are None where the line ends before them; numbers that are
    none are None too.
    """

    line: int
    spec: str
    mountpoint: str
    type: str
    options: str | None
    dump: int | None
    passno: int | None
    fields: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """New content of one entry; None leaves the field as it is."""

    spec: str | None = None
    options: str | None = None


def entries(text: str) -> Iterator[Entry]:
    """Every entry in order; comments, blank lines and lines that are no entry are passed over."""
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        entry = _entry(line.removesuffix("\r"), number, start)
        if entry is not None:
            yield entry
        start += len(line) + 1


def edit(text: str, replacements: Mapping[int, Replacement]) -> str:
    """`text` with the entries on the given lines (1-based) changed; every other byte stays.

    A field that already says what it should keeps its bytes. Raises KeyError for a line without
    an entry.
    """
    if not replacements:
        return text
    found = {entry.line: entry for entry in entries(text) if entry.line in replacements}
    edits: dict[Span, str] = {}
    for line, replacement in replacements.items():
        edits |= _edits(found[line], replacement)
    return splice(text, edits)


def commented_out(text: str, lines: Collection[int]) -> str:
    """`text` with the entries on the given lines (1-based) made comments; every other byte stays."""
    starts = (entry.fields[0].start for entry in entries(text) if entry.line in lines)
    return splice(text, {Span(start, start): "# " for start in starts})


def split_options(options: str) -> tuple[str, ...]:
    """`rw,context="a,b"` → ("rw", 'context="a,b"'); joined by "," they are `options` again."""
    commas = [found.start() for found in _QUOTED_OR_COMMA.finditer(options) if found[0] == ","]
    starts, ends = (0, *(comma + 1 for comma in commas)), (*commas, len(options))
    return tuple(options[start:end] for start, end in zip(starts, ends, strict=True))


def _entry(line: str, number: int, start: int) -> Entry | None:
    spans = tuple(found.span() for found in _FIELD.finditer(line))
    if len(spans) < _LEAST_FIELDS or line[spans[0][0]] == "#":
        return None
    values = [_unescape(line[first:last]) for first, last in spans]
    return Entry(
        line=number,
        spec=values[0],
        mountpoint=values[1],
        type=values[2],
        options=values[3] if len(values) > 3 else None,
        dump=_number(values[4:5]),
        passno=_number(values[5:6]),
        fields=tuple(Span(start + first, start + last) for first, last in spans),
    )


def _number(values: list[str]) -> int | None:
    return int(values[0]) if values and _NUMBER.fullmatch(values[0]) else None


def _edits(entry: Entry, replacement: Replacement) -> dict[Span, str]:
    edits: dict[Span, str] = {}
    if replacement.spec is not None and replacement.spec != entry.spec:
        edits[entry.fields[0]] = _escape(replacement.spec)
    if replacement.options is not None and replacement.options != entry.options:
        if entry.options is None:
            end = entry.fields[2].end
            edits[Span(end, end)] = " " + _escape(replacement.options)
        else:
            edits[entry.fields[3]] = _escape(replacement.options)
    return edits


def _unescape(field: str) -> str:
    if "\\" not in field:
        return field
    raw = field.encode("utf-8", "surrogateescape")
    raw = _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), raw)
    return raw.decode("utf-8", "surrogateescape")


def _escape(value: str) -> str:
    return _MUST_ESCAPE.sub(lambda found: f"\\{ord(found[0]):03o}", value)
