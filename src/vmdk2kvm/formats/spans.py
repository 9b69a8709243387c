"""Places in a text, so that one piece of it can change while every other byte stays."""

from collections.abc import Mapping
from typing import NamedTuple


class Span(NamedTuple):
    """The characters `text[start:end]`."""

    start: int
    end: int


def splice(text: str, replacements: Mapping[Span, str]) -> str:
    """`text` with each span replaced; linear in the length of the text. Spans must not overlap."""
    parts: list[str] = []
    done = 0
    for span in sorted(replacements):
        if span.start < done:
            raise ValueError(f"spans overlap at character {span.start}")
        parts += (text[done : span.start], replacements[span])
        done = span.end
    parts.append(text[done:])
    return "".join(parts)


def line_of(text: str, position: int) -> int:
    """The 1-based number of the line that holds `position`."""
    return text.count("\n", 0, position) + 1
