"""Unified kernel images (UAPI.5): a UEFI program whose sections hold kernel, initramfs and arguments.

The image is often signed as a whole, so its arguments are read here and never changed.
"""

from dataclasses import dataclass
from typing import BinaryIO

from vmdk2kvm.formats import initramfs
from vmdk2kvm.formats.pe_program import read_section, section
from vmdk2kvm.model.guest_os import Initramfs

_MOST_TEXT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifiedKernel:
    """`arguments` and `version` are "" where the image says nothing, `initramfs` None where it has none."""

    arguments: str
    version: str
    initramfs: Initramfs | None


def read(path: str, stream: BinaryIO) -> UnifiedKernel:
    """What the image at `path` holds; a file that is no such program holds nothing."""
    arguments, version = _text(stream, b".cmdline"), _text(stream, b".uname")
    archive = section(stream, b".initrd")
    found = None if archive is None else initramfs.describe(path, 0, archive)
    return UnifiedKernel(arguments=arguments, version=version, initramfs=found)


def _text(stream: BinaryIO, name: bytes) -> str:
    raw = read_section(stream, name, most_bytes=_MOST_TEXT_BYTES) or b""
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape").strip()
