"""crypttab(5): which encrypted volumes a machine opens, and from what (systemd and Debian).

Fields stand between spaces and tabs: name, device, key file, options. A line that begins with "#" is
a comment. A line may end in CR LF.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span, splice

_FIELD = re.compile(r"[^ \t]+")
_NO_KEY_FILE = frozenset({"none", "-", ""})
_RANDOM = frozenset({"/dev/urandom", "/dev/random", "/dev/hw_random", "/dev/hwrng"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One volume; `line` is 1-based, `key_file` "" where a passphrase is asked for."""

    line: int
    name: str
    device: str
    key_file: str
    options: tuple[str, ...]
    fields: tuple[Span, ...]

    @property
    def is_random(self) -> bool:
        """A new key at every start: what was there is overwritten (swap, /tmp)."""
        return self.key_file in _RANDOM

    def option(self, name: str) -> str | None:
        """The value of `name=…`, "" for a bare `name`, None where it is not given."""
        pairs = (option.partition("=") for option in self.options)
        return next((value for key, _, value in pairs if key == name), None)


def entries(text: str) -> Iterator[Entry]:
    """Every entry in order; comments, blank lines and lines without a device are passed over."""
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        entry = _entry(line.removesuffix("\r"), number, start)
        if entry is not None:
            yield entry
        start += len(line) + 1


def edit(text: str, devices: Mapping[int, str]) -> str:
    """`text` with the device of the entries on the given lines (1-based) changed; every other byte stays.

    Raises KeyError for a line without an entry.
    """
    found = {entry.line: entry for entry in entries(text) if entry.line in devices}
    return splice(text, {found[line].fields[1]: device for line, device in devices.items()})


def _entry(line: str, number: int, start: int) -> Entry | None:
    spans = [found.span() for found in _FIELD.finditer(line)]
    if len(spans) < 2 or line[spans[0][0]] == "#":
        return None
    values = [line[first:last] for first, last in spans]
    key_file = values[2] if len(values) > 2 else ""
    return Entry(
        line=number,
        name=values[0],
        device=values[1],
        key_file="" if key_file in _NO_KEY_FILE else key_file,
        options=tuple(values[3].split(",")) if len(values) > 3 else (),
        fields=tuple(Span(start + first, start + last) for first, last in spans),
    )
