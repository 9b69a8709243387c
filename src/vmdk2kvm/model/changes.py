"""Everything a repair can do to a guest: a closed union of values.

Exact changes hold every byte they write (or its SHA-256); opaque ones name another program that
writes. The interpreter is fixes/engine.py and there is no other.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from vmdk2kvm.model.guest_os import InitramfsTool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """`before` is the content the plan saw, None for a file that is not there yet."""

    path: str
    before: bytes | None
    after: bytes
    mode: int = 0o644  # for a new file; an existing one keeps mode, owner, xattrs and label

    kind: Literal["write-file"] = "write-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile:
    path: str
    before: bytes

    kind: Literal["remove-file"] = "remove-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSymlink:
    """`before` is the link's present target, None where nothing stands at `path`."""

    path: str
    before: str | None
    target: str

    kind: Literal["make-symlink"] = "make-symlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveLink:
    """`before` is the target of the symbolic link that stands at `path`."""

    path: str
    before: str

    kind: Literal["remove-link"] = "remove-link"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyWithin:
    """A new file at `path`, where nothing stands yet, like the guest's own file `source`."""

    path: str
    source: str
    size_bytes: int
    sha256: str

    kind: Literal["copy-within"] = "copy-within"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendInitramfs:
    """An archive with drivers behind the initramfs at `path`, then proven by opening it.

    `files` are the names in the archive and the SHA-256 of each; `must_hold` are the module names the
    image has to contain with it; the other sizes and sums are of the whole image.
    """

    path: str
    kernel: str
    files: tuple[tuple[str, str], ...]
    must_hold: frozenset[str]
    before_bytes: int
    before_sha256: str
    after_bytes: int
    after_sha256: str

    kind: Literal["append-initramfs"] = "append-initramfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLabel:
    """The SELinux label of a file, folder or link that this plan makes."""

    path: str
    label: str

    kind: Literal["set-label"] = "set-label"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """Another program writes. `done_when` is a path that must exist afterwards, `gone` must not.

    What goes away leaves no trace of its own: below `may_remove` the engine looks before and after.
    One that is `optional` may fail: the guest boots without it, and a finding says what it said.
    """

    argv: tuple[str, ...]
    done_when: str | None
    may_write: tuple[str, ...]  # path prefixes
    may_remove: tuple[str, ...] = ()  # path prefixes
    gone: tuple[str, ...] = ()
    optional: bool = False

    kind: Literal["run-command"] = "run-command"


class RebuildKind(Enum):
    INITRAMFS = "initramfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """Build a boot file anew with the guest's own tool, then prove it by opening it.

    `must_hold` are the module names the new image has to contain; `arguments` go to the tool beside
    its usual ones. `stale_names` says that the old image holds device names that have to go, which an
    archive behind it cannot take away. `must_keep` are files of the old image that the new one needs too.
    `copy_of` is the image of the same kernel, built before, that this one is a copy of on the partition
    the boot loader reads.
    """

    what: RebuildKind
    tool: InitramfsTool
    kernel: str
    path: str
    must_hold: frozenset[str]
    estimated_bytes: int
    arguments: tuple[str, ...] = ()
    stale_names: bool = False
    must_keep: tuple[str, ...] = ()
    copy_of: str | None = None

    kind: Literal["rebuild"] = "rebuild"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabel:
    """Give the files that programs of this plan made the SELinux labels the guest's own policy has for them.

    `path` is the policy's list of labels; file systems mounted at `unlabelled` carry none.
    """

    path: str
    unlabelled: tuple[str, ...] = ()

    kind: Literal["relabel"] = "relabel"


Exact = WriteFile | RemoveFile | MakeSymlink | RemoveLink | CopyWithin | AppendInitramfs | SetLabel
Opaque = RunCommand | Rebuild | Relabel
Change = Exact | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    fix: str
    change: Change
