"""Which machine a program or a kernel is for (ELF header, elf(5); Linux/x86 boot protocol)."""

from typing import Literal

_ELF_MACHINES = {
    3: "i686",
    20: "ppc",
    21: "ppc64le",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
ELF_HEADER_BYTES = 20
SETUP_BYTES = 0x8000  # the real-mode part of a bzImage, which holds its version, is no longer


def elf_machine(head: bytes) -> str | None:
    """The architecture in `uname -m`'s words; None for what is no ELF file or an unknown machine."""
    if len(head) < ELF_HEADER_BYTES or not head.startswith(b"\x7fELF"):
        return None
    order: Literal["big", "little"] = "big" if head[5] == 2 else "little"
    return _ELF_MACHINES.get(int.from_bytes(head[18:20], order))


def bzimage_release(head: bytes) -> str | None:
    """The release a bzImage says it is ("6.6.1-arch1-1"); `head` are its first SETUP_BYTES."""
    if head[0x202:0x206] != b"HdrS":
        return None
    start = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    words = head[start : start + 256].partition(b"\0")[0].split(b" ")
    return words[0].decode("ascii", "replace") or None
