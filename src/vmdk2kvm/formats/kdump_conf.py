"""kdump.conf(5) of the Red Hat family: where a crash dump goes.

One directive a line: a keyword, then its value. `raw DEVICE` and `FSTYPE DEVICE` name a block device.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span, splice

_LINE = re.compile(r"^[ \t]*([a-z0-9_]+)[ \t]+([^ \t\r\n#]+)", re.MULTILINE)
_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "minix"})
_RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device dumps are written to; `type` is None where they are written to the bare device."""

    device: str
    type: str | None
    span: Span


def targets(text: str) -> Iterator[Target]:
    for line in _LINE.finditer(text):
        if line[1] in _FILE_SYSTEMS or line[1] == _RAW:
            yield Target(device=line[2], type=None if line[1] == _RAW else line[1], span=Span(*line.span(2)))


def edit(text: str, devices: Mapping[Span, str]) -> str:
    """`text` with the device at each span changed; every other byte stays."""
    return splice(text, devices)
