"""Arguments of the Linux kernel (Documentation/admin-guide/kernel-parameters).

Parameters stand between white space; double quotes protect white space, and stand around a value
or around a whole parameter (lib/cmdline.c, next_arg).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span

_TOKEN = re.compile(r'(?:[^ \t\n\v\f\r"]+|"[^"]*"?)+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`name=value`, or a bare name with value None.

    `span` is where the value is written, quotes left out; None where there is no value, or where
    quotes stand inside it, so that it cannot be replaced as one piece.
    """

    name: str
    value: str | None
    span: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The kernel arguments that stand in one place of a file.

    `has_initrd` says whether the kernel is started with an initramfs: without one it looks for its
    root itself.
    """

    parameters: tuple[Parameter, ...]
    has_initrd: bool = True


def arguments(text: str) -> Iterator[Arguments]:
    """Of a file that holds nothing else (/etc/kernel/cmdline, kernel-install(8))."""
    yield Arguments(parameters=tuple(parameters(text)))


def has_initrd(given: Iterable[Parameter]) -> bool:
    """Whether the arguments themselves name an initramfs, as syslinux and EFI stubs take it."""
    return any(each.name == "initrd" for each in given)


def parameters(text: str, start: int = 0, end: int | None = None) -> Iterator[Parameter]:
    """The parameters of `text[start:end]` in order; spans are places in `text`."""
    for token in _TOKEN.finditer(text, start, len(text) if end is None else end):
        yield parameter(text, token.start(), token.end())


def parameter(text: str, start: int, end: int) -> Parameter:
    """The one parameter written at `text[start:end]`."""
    start, end = _unquoted(text, start, end)
    equals = text.find("=", start, end)
    if equals < 0:
        return Parameter(name=text[start:end], value=None, span=None)
    first, last = _unquoted(text, equals + 1, end)
    value = text[first:last]
    return Parameter(name=text[start:equals], value=value, span=None if '"' in value else Span(first, last))


def _unquoted(text: str, start: int, end: int) -> tuple[int, int]:
    """Without an opening double quote and, only then, without a closing one."""
    if start < end and text[start] == '"':
        start += 1
        if start < end and text[end - 1] == '"':
            end -= 1
    return start, end
