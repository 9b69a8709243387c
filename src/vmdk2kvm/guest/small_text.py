"""Small text files of a guest, which anybody may have written: read within bounds or not at all."""

from vmdk2kvm.errors import GuestError
from vmdk2kvm.guest.protocol import FileType, GuestReader
from vmdk2kvm.model.units import KIB, MIB

FSTAB_LIMIT_BYTES = MIB  # far above any real one
CONFIGURATION_LIMIT_BYTES = 4 * MIB  # a boot menu of hundreds of snapshots
RELEASE_LIMIT_BYTES = 64 * KIB


def read_small(guest: GuestReader, path: str, limit_bytes: int = CONFIGURATION_LIMIT_BYTES) -> str | None:
    """The text of a file; None where there is none, or one that is larger or no regular file."""
    try:
        stat = guest.stat(guest.realpath(path))
        if stat.type is not FileType.REGULAR or stat.size_bytes > limit_bytes:
            return None
        return guest.read_text(path)
    except (FileNotFoundError, GuestError):
        return None
