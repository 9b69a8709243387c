"""grubenv, GRUB 2's environment block (GRUB manual, "Environment block").

A signature, lines `name=value` with "\\" before a newline or backslash of the value, and "#" up to a size
that never changes: GRUB writes the block in place, sector by sector, and cannot make it longer.
"""

import re
from collections.abc import Iterator

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.kernel_cmdline import Arguments, parameters

# What the menus of Fedora, RHEL, SUSE and Photon hand to the kernel as a whole.
ARGUMENT_VARIABLES = frozenset(
    {
        *("kernelopts", "default_kernelopts", "tuned_params"),
        *("extra_cmdline", "photon_cmdline", "systemd_cmdline"),
    }
)
_SIGNATURE = "# GRUB Environment Block\n"
_LINE = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)=([^\\\n]*(?:\\.[^\\\n]*)*)", re.MULTILINE | re.DOTALL)
_PADDING = "#"
_BLOCK_BYTES = 512


def arguments(text: str) -> Iterator[Arguments]:
    """Of the variables that hold kernel arguments. GRUB ignores a block without its signature."""
    if not text.startswith(_SIGNATURE):
        return
    for line in _LINE.finditer(text, len(_SIGNATURE)):
        if line[1] in ARGUMENT_VARIABLES:
            yield Arguments(parameters=tuple(parameters(text, line.start(2), line.end(2))))


def with_size(text: str, size_bytes: int) -> str:
    """`text` with more or less padding. Raises GuestError where the block is too small for it.

    Files of another size are no blocks: Photon's GRUB only reads them, and they have no padding.
    """
    if size_bytes % _BLOCK_BYTES:
        return text
    surplus = len(text.encode("utf-8", "surrogateescape")) - size_bytes
    if surplus <= 0:
        return text + _PADDING * -surplus
    if not text.endswith(_PADDING * surplus):
        raise GuestError(
            f"the longer names need {surplus} bytes more than the block of {size_bytes} bytes has free.",
            hint="remove variables with `grub-editenv - unset NAME` in the guest, then run again.",
        )
    return text[:-surplus]
