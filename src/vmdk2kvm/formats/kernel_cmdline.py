"""Arguments of the Linux kernel (Documentation/admin-guide/kernel-parameters).

Parameters stand between white space; double quotes protect white space, and stand around a value
or around a whole parameter (lib/cmdline.c, next_arg).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span

_TOKEN = re.compile(r'(?:[^ \t\n\v\f\r"]+|"[^"]*"?)+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`name=value`, or a bare name with value None.

    `span` is where the value is written, quotes left out; None where there is no value, or where
    quotes of a surrounding language stand inside it, so that it cannot be replaced as one piece.
    """

    name: str
    value: str | None
    span: Span | None


def parameters(text: str) -> Iterator[Parameter]:
    """The parameters in order; spans are places in `text`."""
    for token in _TOKEN.finditer(text):
        yield parameter(text, token.start(), token.end())


def parameter(text: str, start: int, end: int) -> Parameter:
    """The one parameter written at `text[start:end]`."""
    start, end = _unquoted(text, start, end)
    equals = text.find("=", start, end)
    if equals < 0:
        return Parameter(name=text[start:end], value=None, span=None)
    first, last = _unquoted(text, equals + 1, end)
    return Parameter(name=text[start:equals], value=text[first:last], span=Span(first, last))


def _unquoted(text: str, start: int, end: int) -> tuple[int, int]:
    """Without an opening double quote and, only then, without a closing one."""
    if start < end and text[start] == '"':
        start += 1
        if start < end and text[end - 1] == '"':
            end -= 1
    return start, end
