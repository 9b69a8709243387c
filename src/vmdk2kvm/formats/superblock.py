"""What a file system's own superblock says of its state.

ext2 to ext4: Linux, Documentation/filesystems/ext4/super.rst. Swap: mkswap(8), and
kernel/power/swap.c for a swap space that holds a suspended machine.
"""

import struct

EXT_OFFSET = 1024
EXT_BYTES = 64
_EXT_MAGIC = 0xEF53
_EXT_ERRORS = 0x0002  # the kernel found the file system damaged; only e2fsck takes the mark away

SWAP_HEADER_BYTES = 4096  # one page
_SUSPENDED = (b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001")


def ext_has_errors(superblock: bytes) -> bool:
    """`superblock` are EXT_BYTES bytes from EXT_OFFSET on; False for anything that is none."""
    if len(superblock) < EXT_BYTES:
        return False
    magic, state = struct.unpack_from("<HH", superblock, 0x38)
    return magic == _EXT_MAGIC and bool(state & _EXT_ERRORS)


def swap_is_suspended(header: bytes) -> bool:
    """Whether the first page of a swap space says that a machine sleeps in it."""
    return len(header) == SWAP_HEADER_BYTES and header[-10:] in _SUSPENDED
