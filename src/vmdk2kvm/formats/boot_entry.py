"""Boot loader entries of type 1 (UAPI.1, Boot Loader Specification): lines of a key and its value.

systemd-boot reads them, and GRUB 2 with Fedora's blscfg command, which expands `$kernelopts` and other
variables in `options`.
"""

import re
from collections.abc import Iterator

from vmdk2kvm.formats.kernel_cmdline import Arguments, has_initrd, parameters

_LINE = re.compile(r"^[ \t]*(options|initrd)[ \t]+([^\n]*)", re.MULTILINE)


def arguments(text: str) -> Iterator[Arguments]:
    """One for each `options` line; the kernel gets them joined."""
    lines = list(_LINE.finditer(text))
    found = [tuple(parameters(text, line.start(2), line.end(2))) for line in lines if line[1] == "options"]
    loads_initrd = any(line[1] == "initrd" for line in lines) or any(map(has_initrd, found))
    for each in found:
        yield Arguments(parameters=each, has_initrd=loads_initrd)
