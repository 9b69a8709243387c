"""What the engine leaves in the guest so that its work can be taken back.

/var/lib/vmdk2kvm/<plan id>/ (0700) holds journal.json and backup/<path>: each changed file as it
was, with mode, owner and attributes. The journal stands before the first edit; a rebuild is struck
off it only when it is proven.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from vmdk2kvm.guest.paths import parent
from vmdk2kvm.guest.protocol import FileType, GuestWriter
from vmdk2kvm.model.changes import Exact, MakeSymlink, PlannedChange, Rebuild, RunCommand, WriteFile
from vmdk2kvm.model.plan import Plan

STATE_FOLDER = "/var/lib/vmdk2kvm"
SCHEMA = 1


def folder_of(plan: Plan) -> str:
    return f"{STATE_FOLDER}/{plan.id}"


def backup_path(plan: Plan, path: str) -> str:
    """Where the old content of `path` (without links) is kept."""
    return f"{folder_of(plan)}/backup{path}"


@dataclass(slots=True, kw_only=True)
class Journal:
    """`entries` are the exact changes by path; `ran` what programs wrote, `owed` what is left to do."""

    plan: Plan
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    ran: list[dict[str, Any]] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)

    def write(self, guest: GuestWriter) -> None:
        fields = {
            "schema": SCHEMA,
            "plan": self.plan.id,
            "changes": list(self.entries.values()),
            "ran": self.ran,
            "owed": self.owed,
        }
        text = json.dumps(fields, indent=2) + "\n"
        guest.write_bytes(f"{folder_of(self.plan)}/journal.json", text.encode(), mode=0o600)

    def strike(self, guest: GuestWriter, change: RunCommand | Rebuild, wrote: tuple[str, ...]) -> None:
        """Record that an opaque change is done and what it wrote."""
        self.owed.remove(_owed(change))
        self.ran.append({"kind": change.kind, "what": _owed(change), "wrote": list(wrote)})
        self.write(guest)


def begin(guest: GuestWriter, plan: Plan) -> Journal:
    """Back up every file the plan edits and write the journal; nothing is edited yet."""
    guest.make_folder(parent(STATE_FOLDER))
    for folder in (STATE_FOLDER, folder_of(plan)):
        guest.make_folder(folder, mode=0o700)
    journal = Journal(plan=plan)
    for item in plan.changes:
        _begin_change(guest, journal, item)
    journal.write(guest)
    return journal


def _begin_change(guest: GuestWriter, journal: Journal, item: PlannedChange) -> None:
    change = item.change
    if isinstance(change, RunCommand | Rebuild):
        journal.owed.append(_owed(change))
        return
    path = _real(guest, change)
    entry = journal.entries.get(path) or _entry(guest, journal.plan, path, change)
    journal.entries[path] = entry | {"kind": change.kind, "after": _after(change)}


def _entry(guest: GuestWriter, plan: Plan, path: str, change: Exact) -> dict[str, Any]:
    """A path as it is before the first change to it; a file is copied into the backup."""
    entry: dict[str, Any] = {"path": path, "before": None, "backup": None}
    if isinstance(change, MakeSymlink):
        return entry | {"before": change.before}
    if change.before is None:
        return entry
    stat = guest.stat(path)
    kept = backup_path(plan, path)
    guest.make_folder(parent(kept), mode=0o700)
    guest.copy_within(path, kept)
    return entry | {
        "before": _sha256(change.before),
        "mode": f"{stat.mode:04o}",
        "uid": stat.uid,
        "gid": stat.gid,
        "backup": kept,
    }


def _real(guest: GuestWriter, change: Exact) -> str:
    """The file a change really touches: a write goes through links, the others act on the link."""
    if not isinstance(change, WriteFile):
        return change.path
    try:
        linked = guest.stat(change.path).type is FileType.SYMLINK
    except FileNotFoundError:
        return change.path
    return guest.realpath(change.path) if linked else change.path


def _after(change: Exact) -> str | None:
    match change:
        case WriteFile():
            return _sha256(change.after)
        case MakeSymlink():
            return change.target
        case _:
            return None


def _owed(change: RunCommand | Rebuild) -> str:
    return change.path if isinstance(change, Rebuild) else " ".join(change.argv)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
