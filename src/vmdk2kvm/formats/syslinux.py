"""extlinux.conf and syslinux.cfg (SYSLINUX wiki, "Config"; U-Boot, "Distro boot").

A keyword in any case and its value on each line. APPEND before the first LABEL is for the labels that have
none of their own.
"""

import re
from collections.abc import Iterator

from vmdk2kvm.formats.kernel_cmdline import Arguments, Parameter, has_initrd, parameters

_LINE = re.compile(r"^[ \t]*(label|initrd|append)[ \t]+([^\n]*)", re.MULTILINE | re.IGNORECASE)
_MODULES = "---"  # how mboot.c32 divides hypervisor, kernel and initramfs


def arguments(text: str) -> Iterator[Arguments]:
    """One for each APPEND, in order."""
    lines = list(_LINE.finditer(text))
    anywhere = any(line[1].lower() == "initrd" for line in lines)
    waiting: list[tuple[Parameter, ...]] = []
    loads_initrd = anywhere  # what the labels do is what a common APPEND is for
    for line in lines:
        keyword = line[1].lower()
        if keyword == "label":
            yield from _appended(waiting, loads_initrd)
            waiting, loads_initrd = [], False
        elif keyword == "initrd":
            loads_initrd = True
        else:
            waiting.append(tuple(parameters(text, line.start(2), line.end(2))))
    yield from _appended(waiting, loads_initrd)


def _appended(waiting: list[tuple[Parameter, ...]], loads_initrd: bool) -> Iterator[Arguments]:
    for given in waiting:
        in_arguments = has_initrd(given) or any(each.name == _MODULES for each in given)
        yield Arguments(parameters=given, has_initrd=loads_initrd or in_arguments)
