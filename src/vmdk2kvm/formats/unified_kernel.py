"""Unified kernel images (UAPI.5): a UEFI program whose sections hold kernel, initramfs and arguments.

The image is often signed as a whole, so its arguments are read here and never changed.
"""

from typing import BinaryIO

from vmdk2kvm.formats.pe_program import read_section

_MOST_ARGUMENTS_BYTES = 64 * 1024


def embedded_arguments(stream: BinaryIO) -> str | None:
    """What stands in the section .cmdline; None where there is none, or the file is no such program."""
    raw = read_section(stream, b".cmdline", most_bytes=_MOST_ARGUMENTS_BYTES)
    return None if raw is None else raw.partition(b"\0")[0].decode("utf-8", "surrogateescape").strip()
