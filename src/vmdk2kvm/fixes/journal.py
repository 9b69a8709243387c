"""What the engine leaves in the guest so that its work can be taken back.

/var/lib/vmdk2kvm/<plan id>/ (0700) holds journal.json and backup/<path>: each changed file as it
was, with mode, owner and attributes. The journal stands before the first edit; a rebuild is struck
off it only when it is proven. fixes/undo.py reads it.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from vmdk2kvm.errors import GuestError
from vmdk2kvm.guest.paths import parent
from vmdk2kvm.guest.protocol import FileType, GuestReader, GuestWriter
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    CopyWithin,
    Exact,
    MakeSymlink,
    Opaque,
    PlannedChange,
    Rebuild,
    RemoveFile,
    RemoveLink,
    RunCommand,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.units import MIB

STATE_FOLDER = "/var/lib/vmdk2kvm"
JOURNAL = "journal.json"
SCHEMA = 1


def folder_of(plan: Plan) -> str:
    return f"{STATE_FOLDER}/{plan.id}"


def backup_path(plan: Plan, path: str) -> str:
    """Where the old content of `path` (without links) is kept."""
    return f"{folder_of(plan)}/backup{path}"


@dataclass(slots=True, kw_only=True)
class Journal:
    """`entries` are the exact changes by path; `ran` what programs wrote, `owed` what is left to do.

    `serial` counts the plans applied to this guest. `made_folders` were not there before, the outer
    ones first. `rebuilds` say where each image's old content lies, and once proven its new hash.
    """

    plan: Plan
    serial: int = 1
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    made_folders: dict[str, None] = field(default_factory=dict)
    rebuilds: list[dict[str, Any]] = field(default_factory=list)
    ran: list[dict[str, Any]] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)

    def write(self, guest: GuestWriter) -> None:
        fields = {
            "schema": SCHEMA,
            "plan": self.plan.id,
            "serial": self.serial,
            "changes": list(self.entries.values()),
            "made_folders": list(self.made_folders),
            "rebuilds": self.rebuilds,
            "ran": self.ran,
            "owed": self.owed,
        }
        text = json.dumps(fields, indent=2) + "\n"
        guest.write_bytes(f"{folder_of(self.plan)}/{JOURNAL}", text.encode(), mode=0o600)

    def strike(self, guest: GuestWriter, change: Opaque, wrote: tuple[str, ...]) -> None:
        """Record that an opaque change is done and what it wrote."""
        self.owed.remove(_owed(change))
        gone = change.gone if isinstance(change, RunCommand) else ()
        touched = sorted({*wrote, *gone})
        self.ran.append({"kind": change.kind, "what": _owed(change), "wrote": touched})
        for rebuild in self.rebuilds:
            if isinstance(change, Rebuild) and rebuild["path"] == change.path:
                rebuild["after"] = hash_of(guest, rebuild["image"])
        for path in self.entries.keys() & touched:  # a program changed what an edit had left
            self.entries[path] |= _standing(guest, path)
        self.write(guest)


def begin(guest: GuestWriter, plan: Plan) -> Journal:
    """Back up every file the plan edits and write the journal; nothing is edited yet."""
    journal = Journal(plan=plan, serial=_next_serial(guest))
    journal.made_folders.update(dict.fromkeys(_missing(guest, STATE_FOLDER)))
    guest.make_folder(parent(STATE_FOLDER))
    for folder in (STATE_FOLDER, folder_of(plan)):
        guest.make_folder(folder, mode=0o700)
    for item in plan.changes:
        _begin_change(guest, journal, item)
    journal.write(guest)
    return journal


def _begin_change(guest: GuestWriter, journal: Journal, item: PlannedChange) -> None:
    change = item.change
    if isinstance(change, SetLabel):
        return  # of what an entry makes, and goes with it
    if isinstance(change, Opaque):
        journal.owed.append(_owed(change))
        if isinstance(change, Rebuild):
            image = guest.realpath(change.path)
            kept = backup_path(journal.plan, image)
            journal.rebuilds.append({"path": change.path, "image": image, "backup": kept, "after": None})
        return
    # what an edit before this one takes away is still there now
    path = change.path if change.path in journal.entries else _real(guest, change)
    journal.made_folders.update(dict.fromkeys(_missing(guest, parent(path))))
    entry = journal.entries.get(path) or _entry(guest, journal.plan, path, change)
    journal.entries[path] = entry | {"kind": change.kind} | _after(change)


def _entry(guest: GuestWriter, plan: Plan, path: str, change: Exact) -> dict[str, Any]:
    """A path as it is before the first change to it; a file is copied into the backup."""
    entry: dict[str, Any] = {"path": path, "before": None, "backup": None}
    if isinstance(change, MakeSymlink | RemoveLink):
        label = None if change.before is None else guest.label(path)
        return entry | {"before": change.before} | ({"label": label} if label else {})
    if isinstance(change, CopyWithin) or (isinstance(change, WriteFile) and change.before is None):
        return entry
    assert not isinstance(change, SetLabel)
    stat = guest.stat(path)
    kept = backup_path(plan, path)
    guest.make_folder(parent(kept), mode=0o700)
    guest.copy_within(path, kept)
    return entry | {
        "before": _before(change),
        "mode": f"{stat.mode:04o}",
        "uid": stat.uid,
        "gid": stat.gid,
        "mtime_s": stat.mtime_s,
        "backup": kept,
    }


def _real(guest: GuestWriter, change: Exact) -> str:
    """The file a change really touches: a write goes through links, the others act on the link."""
    if not isinstance(change, WriteFile | AppendInitramfs):
        return change.path
    try:
        linked = guest.stat(change.path).type is FileType.SYMLINK
        return guest.realpath(change.path) if linked else change.path
    except FileNotFoundError:
        return change.path


def _missing(guest: GuestReader, folder: str) -> list[str]:
    """`folder` and those above it that are not there, the outer ones first."""
    found: list[str] = []
    while folder != "/" and not guest.exists(folder):
        found.insert(0, folder)
        folder = parent(folder)
    return found


def _next_serial(guest: GuestReader) -> int:
    """One more than any journal in the guest has; one that cannot be read counts as none."""
    return 1 + max((_serial(guest, path) for path in guest.glob(f"{STATE_FOLDER}/*/{JOURNAL}")), default=0)


def _serial(guest: GuestReader, path: str) -> int:
    try:
        serial = json.loads(guest.read_bytes(path)).get("serial", 0)
    except (FileNotFoundError, GuestError, ValueError, AttributeError, RecursionError):
        return 0
    return serial if isinstance(serial, int) else 0


def _before(change: WriteFile | RemoveFile | AppendInitramfs) -> str | None:
    if isinstance(change, AppendInitramfs):
        return change.before_sha256
    return None if change.before is None else _sha256(change.before)


def _after(change: Exact) -> dict[str, str | None]:
    """What a change leaves: "left" says of which kind "after" speaks."""
    match change:
        case WriteFile():
            return {"left": "file", "after": _sha256(change.after)}
        case MakeSymlink():
            return {"left": "link", "after": change.target}
        case CopyWithin():
            return {"left": "file", "after": change.sha256}
        case AppendInitramfs():
            return {"left": "file", "after": change.after_sha256}
        case _:
            return {"left": "nothing", "after": None}


def _standing(guest: GuestReader, path: str) -> dict[str, str | None]:
    try:
        stat = guest.stat(path)
    except FileNotFoundError:
        return {"left": "nothing", "after": None}
    if stat.type is FileType.SYMLINK:
        return {"left": "link", "after": guest.readlink(path)}
    if stat.type is not FileType.REGULAR:
        return {"left": "other", "after": None}
    return {"left": "file", "after": hash_of(guest, path)}


def hash_of(guest: GuestReader, path: str) -> str:
    """The SHA-256 of a file of any size."""
    digest = hashlib.sha256()
    with guest.open(path) as stream:
        while piece := stream.read(MIB):
            digest.update(piece)
    return digest.hexdigest()


def _owed(change: Opaque) -> str:
    return " ".join(change.argv) if isinstance(change, RunCommand) else change.path


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
