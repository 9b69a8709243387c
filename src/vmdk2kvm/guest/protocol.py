"""What a planner may ask of a guest, and what the interpreter may do to it.

Paths are absolute inside the guest and `/`-separated. Symbolic links are followed inside the
guest's own root, never out of it. A path that is not there raises FileNotFoundError; a path that
is not a regular file, where one is asked for, raises GuestError.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, Protocol

from vmdk2kvm.errors import GuestError
from vmdk2kvm.model.guest_os import RaidArray
from vmdk2kvm.model.luks import LuksKey

TEXT_ENCODING = "utf-8"
TEXT_ERRORS = "surrogateescape"


class FileType(Enum):
    REGULAR = "regular"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStat:
    """lstat(2) of one path: `mode` is the permission bits only (0o7777)."""

    type: FileType
    size_bytes: int
    mode: int
    uid: int
    gid: int
    mtime_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    status: int
    output: str  # stdout and stderr together, utf-8 with replacement


class GuestReader(Protocol):
    def read_bytes(self, path: str) -> bytes:
        """The whole file; files over 16 MiB raise GuestError (use `open`)."""

    def read_text(self, path: str) -> str:
        """utf-8 with surrogateescape; no newline translation."""

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A readable, seekable stream of a file of any size; memory use is flat."""

    def exists(self, path: str) -> bool: ...

    def stat(self, path: str) -> FileStat:
        """lstat: does not follow a final symbolic link."""

    def readlink(self, path: str) -> str: ...

    def realpath(self, path: str) -> str:
        """`path` with every link resolved inside the guest's root."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Sorted paths that match a shell pattern ("/boot/vmlinuz-*"); `*` does not cross `/`."""

    def list_tree(self, path: str) -> tuple[str, ...]:
        """Sorted paths of all regular files below a folder; () when it is not there."""


def optional_text(guest: GuestReader, path: str) -> str | None:
    """The text of a file that need not be there, nor be one; None where it cannot be read."""
    try:
        return guest.read_text(path)
    except (FileNotFoundError, GuestError):
        return None


class GuestWriter(GuestReader, Protocol):
    def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Replace or create. An existing file keeps mode, owner, xattrs and label."""

    def append_bytes(self, path: str, content: bytes) -> None:
        """Add to the end of a file that is there, however large; its attributes stay."""

    def label(self, path: str) -> str | None:
        """The SELinux label of a path, a final link's own; None where it has none."""

    def set_label(self, path: str, label: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def remove_folder(self, path: str) -> None:
        """An empty folder; GuestError for one that holds anything, and for what is no folder."""

    def remove_tree(self, path: str) -> None:
        """A folder and all below it; links in it are removed, not followed."""

    def make_symlink(self, path: str, target: str) -> None:
        """Create, or replace an existing link."""

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        """Like `mkdir -p`; folders that exist keep their mode."""

    def copy_within(self, source: str, target: str) -> None:
        """Copy one file with mode, owner, times and xattrs; replaces `target`."""

    def run(
        self, argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Run a program of the guest; a status other than 0 is returned, not raised."""

    def changed_since(self, mark: str) -> tuple[str, ...]:
        """Paths created or changed since `mark()` gave `mark`; sorted."""

    def mark(self) -> str:
        """A token for `changed_since`."""


class BlockKind(Enum):
    DISK = "disk"
    PARTITION = "partition"
    LVM = "lvm"
    MD = "md"
    CRYPT = "crypt"  # what is inside an open LUKS volume
    OTHER = "other"  # another device-mapper volume


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """One block device of the open guest and what stands on it.

    `device` is the name to mount it by; `aliases` are other stable names of the same device
    ("/dev/mapper/vg0-root"). `content` is blkid's TYPE ("ext4", "LVM2_member", "swap"), None for
    nothing known. `table` ("gpt", "dos") and `boot_code` (the first 440 bytes) are a disk's own.
    `part_type` is a GPT type GUID or an MBR type ("0xef"), in lower case. `luks_uuid` is that of the
    LUKS volume whose inside this is.
    """

    device: str
    kind: BlockKind
    size_bytes: int
    aliases: tuple[str, ...] = ()
    content: str | None = None
    uuid: str | None = None
    label: str | None = None
    partuuid: str | None = None
    partlabel: str | None = None
    part_type: str | None = None
    table: str | None = None
    boot_code: bytes = b""
    disk: int | None = None
    partition: int | None = None
    luks_uuid: str | None = None
    raid: RaidArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Free space of one mounted file system; `free_inodes` None where inodes are not counted."""

    free_bytes: int
    free_inodes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subvolumes:
    """btrfs subvolumes by path from the top level ("@", "@/.snapshots/1/snapshot").

    `default` is the one mounted without `subvol=`: "" for the top level itself.
    """

    paths: tuple[str, ...]
    default: str


class GuestSession(GuestWriter, Protocol):
    """A guest whose file systems are not mounted yet: what INSPECT needs beyond files."""

    def block_devices(self) -> tuple[BlockDevice, ...]: ...

    def read_device(self, device: str, offset: int, size_bytes: int) -> bytes:
        """The bytes of a block device there; fewer, or none, behind its end."""

    def open_luks(self, device: str, name: str, key: LuksKey) -> bool:
        """Open a LUKS volume as /dev/mapper/NAME, with the volume groups inside it.

        False when the key does not fit. Raises GuestError.
        """

    def luks_keys(self, device: str) -> tuple[LuksKey | None, tuple[LuksKey, ...]]:
        """The key that opened the volume, and those that did not."""

    def rename_luks(self, device: str, name: str) -> None:
        """Call an open volume ("/dev/mapper/luks-…", not mounted) /dev/mapper/NAME."""

    def mount(
        self, device: str, mountpoint: str, *, options: Sequence[str] = (), read_only: bool = False
    ) -> None:
        """Mount at a folder that exists ("/" first). Raises GuestError with what mount(8) said."""

    def unmount_all(self) -> None: ...

    def replayed(self) -> tuple[str, ...]:
        """The devices whose journal was replayed when they were mounted here; sorted."""

    def subvolumes(self) -> Subvolumes:
        """Of the btrfs file system mounted at "/" (mount it with `subvolid=5`)."""

    def room(self, mountpoint: str) -> Room: ...

    def trim(self) -> tuple[tuple[str, str], ...]:
        """Give deleted blocks of every mounted file system back (fstrim(8)).

        Gives (mountpoint, reason) for each file system where that did not work.
        """
