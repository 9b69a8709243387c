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
class CopyWithin:
    """A new file at `path`, where nothing stands yet, like the guest's own file `source`."""

    path: str
    source: str
    size_bytes: int
    sha256: str

    kind: Literal["copy-within"] = "copy-within"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """Another program writes. `done_when` is a path that must exist afterwards."""

    argv: tuple[str, ...]
    done_when: str
    may_write: tuple[str, ...]  # path prefixes

    kind: Literal["run-command"] = "run-command"


class RebuildKind(Enum):
    INITRAMFS = "initramfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """Build a boot file anew with the guest's own tool, then prove it by opening it.

    `must_hold` are the module names the new image has to contain.
    """

    what: RebuildKind
    tool: InitramfsTool
    kernel: str
    path: str
    must_hold: frozenset[str]
    estimated_bytes: int

    kind: Literal["rebuild"] = "rebuild"


Exact = WriteFile | RemoveFile | MakeSymlink | CopyWithin
Opaque = RunCommand | Rebuild
Change = Exact | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    fix: str
    change: Change
