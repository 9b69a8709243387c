"""Boot loader entries of type 1 (UAPI.1, Boot Loader Specification): lines of a key and its value.

systemd-boot reads them, and GRUB 2 with Fedora's blscfg command, which expands `$kernelopts` and other
variables in `options`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.kernel_cmdline import Arguments, has_initrd, parameters

_LINE = re.compile(r"^[ \t]*(options|initrd|linux|version)[ \t]+([^\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What an entry starts, as paths from the root of its own partition; "" for what it does not say."""

    version: str
    linux: str
    initrds: tuple[str, ...]


def parse(text: str) -> Entry:
    said: dict[str, list[str]] = {}
    for line in _LINE.finditer(text):
        said.setdefault(line[1], []).extend(line[2].replace("\\", "/").split())
    version, linux = (next(iter(said.get(key, ())), "") for key in ("version", "linux"))
    return Entry(version=version, linux=linux, initrds=tuple(said.get("initrd", ())))


def arguments(text: str) -> Iterator[Arguments]:
    """One for each `options` line; the kernel gets them joined."""
    lines = list(_LINE.finditer(text))
    found = [tuple(parameters(text, line.start(2), line.end(2))) for line in lines if line[1] == "options"]
    loads_initrd = any(line[1] == "initrd" for line in lines) or any(map(has_initrd, found))
    for each in found:
        yield Arguments(parameters=each, has_initrd=loads_initrd)
