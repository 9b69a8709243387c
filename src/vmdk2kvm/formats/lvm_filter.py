"""The filters of lvm.conf(5): which devices LVM looks at, as lists of regular expressions.

An element is "a" (accept) or "r" (reject) and an expression between two separators. Of each name of a
device the first element that matches counts; a device is taken when one of its names is accepted, or none
is rejected.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile

from vmdk2kvm.formats.spans import Span, splice

_TOKEN = re.compile(r"""#[^\n]*|("(?:[^"\\]|\\.)*"?|'[^']*'?)|([A-Za-z_][\w/-]*)|([{}\[\]=])""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_FILTERS = frozenset({"filter", "global_filter"})
_SECTION = "devices"
_CLOSING = {"(": ")", "[": "]", "{": "}"}

# Expressions that Python reads as LVM does, and in bounded time.
_PIECE = re.compile(r"\\[^A-Za-z0-9]|\[\^?[^\]\\\[]+\]|[().|^$*+?]|[^\\\[\](){}*+?|^$.]")
_QUANTIFIERS = frozenset("*+?")
_MOST_QUANTIFIERS = 3
_MOST_CHARACTERS = 200
_MOST_ELEMENTS = 200
_DISK = re.compile(r"(?<![a-z])(?:[sh]|xv|\[[a-z]+\])d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """`expression` is None where it cannot be understood; `span` takes the quotes in."""

    accepts: bool
    expression: re.Pattern[str] | None
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    name: str
    elements: tuple[Element, ...]

    @property
    def is_understood(self) -> bool:
        every = all(element.expression is not None for element in self.elements)
        return every and len(self.elements) <= _MOST_ELEMENTS

    def accepts(self, names: Iterable[str]) -> bool:
        """Whether LVM takes a device that goes by all of `names`. Needs `is_understood`."""
        verdicts = [element.accepts for name in names if (element := self.deciding(name))]
        return any(verdicts) or not verdicts

    def deciding(self, name: str) -> Element | None:
        matching = (each for each in self.elements if each.expression and each.expression.search(name))
        return next(matching, None)


def filters(text: str) -> Iterator[Filter]:
    """Every filter that is set, in order."""
    tokens = [found for found in _TOKEN.finditer(text) if found.lastindex]
    sections: list[str] = []
    for index, token in enumerate(tokens):
        following = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        if token[0] == "}" and sections:
            sections.pop()
        elif token[2] and following == "{":
            sections.append(token[2])
        elif token[2] and following == "=":
            section, _, name = token[2].rpartition("/")
            if name in _FILTERS and [*sections[:2], *section.split()] == [_SECTION]:
                yield Filter(name=name, elements=tuple(_elements(tokens, index + 2)))


def with_virtio_names(text: str, accepted: Sequence[str]) -> str:
    """`text` whose filters take virtio disks where they took the disks called `accepted` ("/dev/sda2").

    Before the element that accepts such a name its twin for /dev/vd… is put in; where that cannot be
    done, or is not needed, nothing changes.
    """
    edits: dict[Span, str] = {}
    for each in filters(text):
        if not each.is_understood:
            continue
        for name in accepted:
            element = each.deciding(name)
            new = virtio_name(name)
            if element is None or not element.accepts or each.accepts([new]):
                continue
            written = text[element.span.start : element.span.end]
            twin = _DISK.sub("vd", written, count=1)
            if _accepts(twin, new):
                edits[Span(element.span.start, element.span.start)] = f"{twin}, "
    return splice(text, edits)


def virtio_name(name: str) -> str:
    """ "/dev/sda2" → "/dev/vda2"."""
    return _DISK.sub("vd", name, count=1)


def _accepts(written: str, name: str) -> bool:
    element = _element(written, Span(0, 0))
    return element.accepts and element.expression is not None and bool(element.expression.search(name))


def _elements(tokens: Sequence[re.Match[str]], start: int) -> Iterator[Element]:
    """The strings of the list, or the one string, that stands at `tokens[start]`."""
    if start < len(tokens) and tokens[start][1]:
        yield _element(tokens[start][1], Span(*tokens[start].span()))
    elif start < len(tokens) and tokens[start][0] == "[":
        listed = (tokens[index] for index in range(start + 1, len(tokens)))
        for token in islice(takewhile(lambda each: each[1], listed), _MOST_ELEMENTS + 1):
            yield _element(token[1], Span(*token.span()))


def _element(written: str, span: Span) -> Element:
    value = written[1:-1]
    if written.startswith('"'):
        value = _ESCAPE.sub(r"\1", value)
    closing = _CLOSING.get(value[1:2], value[1:2])
    is_whole = len(written) > 4 and written.endswith(written[0]) and value[0] in "ar"
    is_whole = is_whole and value.endswith(closing)
    expression = _expression(value[2:-1]) if is_whole else None
    return Element(accepts=value[:1] == "a", expression=expression, span=span)


def _expression(text: str) -> re.Pattern[str] | None:
    pieces = _PIECE.findall(text) if len(text) <= _MOST_CHARACTERS else []
    quantified = [before for before, piece in pairwise(["(", *pieces]) if piece in _QUANTIFIERS]
    cannot_repeat = frozenset("()|^$") | _QUANTIFIERS
    if "".join(pieces) != text or len(quantified) > _MOST_QUANTIFIERS or cannot_repeat & set(quantified):
        return None
    try:
        return re.compile(text)
    except re.error:
        return None
