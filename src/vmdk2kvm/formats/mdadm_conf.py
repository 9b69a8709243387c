"""mdadm.conf(5): which devices md arrays are looked for on, and what identifies each array.

Words stand between white space; quotes protect it; "#" begins a comment where a word could begin. A line
that begins with a blank continues the one before. Keywords may be cut to three letters.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span, splice

_PIECE = re.compile(r"""(\n)|#[^\n]*|((?:[^\s"'\n]|"[^"]*"?|'[^']*'?)+)""")
_QUOTES = re.compile("[\"']")
_BLANKS_BEFORE = re.compile(r"[ \t]*\Z")
_DEVICES = "devices="
_IDENTITIES = frozenset({"uuid", "name", "super-minor"})
_EVERY_DEVICE = "partitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`value` is without its quotes, which `span` takes in."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A keyword and the words that follow it; `keyword` is "device", "array" or what stands there."""

    keyword: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An ARRAY line. `names` are devices and short names it goes by ("/dev/md0"), `uuid` is in mdadm's
    form, `name` the one in its superblock; `devices` is the word that lists its members."""

    names: tuple[str, ...]
    uuid: str | None
    name: str | None
    has_identity: bool
    devices: Word | None

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self.devices.value[len(_DEVICES) :].split(",")) if self.devices else ()


def lines(text: str) -> Iterator[Line]:
    words: list[Word] = []
    for piece in _PIECE.finditer(text):
        if piece[2]:
            words.append(Word(value=_QUOTES.sub("", piece[2]), span=Span(*piece.span())))
        elif piece[1] and text[piece.end() : piece.end() + 1] not in (" ", "\t") and words:
            yield _line(words)
            words = []
    if words:
        yield _line(words)


def arrays(text: str) -> Iterator[Array]:
    return (_array(line) for line in lines(text) if line.keyword == "array")


def scanned(text: str) -> tuple[str, ...]:
    """The devices and patterns of DEVICE lines."""
    return tuple(word.value for line in lines(text) if line.keyword == "device" for word in line.words)


def identity_of(uuid: str) -> str:
    """blkid's UUID of a member as mdadm writes that of its array: four groups of eight."""
    digits = uuid.replace("-", "").replace(":", "").lower()
    return ":".join(digits[start : start + 8] for start in range(0, 32, 8))


def edit(
    text: str, is_stale: Callable[[str], bool], uuid_of: Callable[[tuple[str, ...]], str | None]
) -> tuple[str, tuple[Array, ...]]:
    """`text` that names no stale device, every other byte as it was, and the arrays for which that failed.

    DEVICE lines with a stale name look at all devices instead. A list of members with a stale name goes
    where the array has another identity, else `uuid_of` its members takes its place.
    """
    edits: dict[Span, str] = {}
    left: list[Array] = []
    for line in lines(text):
        if line.keyword == "device":
            edits |= _scan_everything(text, line, is_stale)
        elif line.keyword == "array":
            array = _array(line)
            if array.devices is None or not any(map(is_stale, array.members)):
                continue
            uuid = None if array.has_identity else uuid_of(array.members)
            if array.has_identity:
                edits[_with_blanks(text, array.devices.span)] = ""
            elif uuid:
                edits[array.devices.span] = f"UUID={uuid}"
            else:
                left.append(array)
    return splice(text, edits), tuple(left)


def _scan_everything(text: str, line: Line, is_stale: Callable[[str], bool]) -> dict[Span, str]:
    stale = [word for word in line.words if is_stale(word.value)]
    if not stale:
        return {}
    edits = {_with_blanks(text, word.span): "" for word in stale}
    if all(word.value.lower() != _EVERY_DEVICE for word in line.words):
        del edits[_with_blanks(text, stale[0].span)]
        edits[stale[0].span] = _EVERY_DEVICE
    return edits


def _with_blanks(text: str, span: Span) -> Span:
    """With the blanks before it."""
    found = _BLANKS_BEFORE.search(text, text.rfind("\n", 0, span.start) + 1, span.start)
    return Span(found.start() if found else span.start, span.end)


def _line(words: list[Word]) -> Line:
    first = words[0].value.lower()
    known = next((each for each in ("device", "array") if len(first) > 2 and each.startswith(first)), first)
    return Line(keyword=known, words=tuple(words[1:]))


def _array(line: Line) -> Array:
    pairs = [word.value.partition("=") for word in line.words]
    given = {key.lower(): value for key, equals, value in reversed(pairs) if equals}
    return Array(
        names=tuple(key for key, equals, _ in pairs if not equals and not key.startswith("<")),
        uuid=identity_of(given["uuid"]) if "uuid" in given else None,
        name=given.get("name"),
        has_identity=not given.keys().isdisjoint(_IDENTITIES),
        devices=next((word for word in line.words if word.value.lower().startswith(_DEVICES)), None),
    )
