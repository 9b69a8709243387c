"""The journals that lie in a guest, as undo reads them.

A guest is a stranger, so is its journal: its size is bounded, its shape is checked, and a backup
it names has to lie in its own folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.journal import JOURNAL, SCHEMA, STATE_FOLDER
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestReader, GuestWriter

MAX_JOURNALS = 100
_BROKEN = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfFile:
    """A regular file with this content; `sha256` None: with any content."""

    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfLink:
    """`label` is its SELinux label, None for any."""

    target: str
    label: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Other:
    """A folder or a device, which no repair makes."""


Standing = OfFile | OfLink | Nothing | Other


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path: what stood there before, what the repair left, where the old file is kept.

    A rebuild that never ended has `after` OfFile(sha256=None) beside Nothing.
    """

    path: str
    before: Standing
    after: tuple[Standing, ...]
    backup: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OldJournal:
    """`entries` in the order they were made; `by_programs` are what opaque changes wrote besides."""

    folder: str
    serial: int
    entries: tuple[Entry, ...]
    made_folders: tuple[str, ...]
    by_programs: tuple[str, ...]


def read_journals(guest: GuestReader) -> tuple[OldJournal, ...]:
    """Newest first. Raises GuestError for one that cannot be understood."""
    paths = guest.glob(f"{STATE_FOLDER}/*/{JOURNAL}")
    if len(paths) > MAX_JOURNALS:
        raise GuestError(
            f'"{STATE_FOLDER}" in the guest holds more than {MAX_JOURNALS} journals.',
            hint="no machine is repaired so often; look at that folder in the guest.",
        )
    found = [(_read(guest, path), guest.stat(path).mtime_s) for path in paths]
    newest_first = sorted(found, key=lambda pair: (pair[0].serial, pair[1]), reverse=True)
    return tuple(journal for journal, _ in newest_first)


def mark_undone(guest: GuestWriter, journal: OldJournal) -> None:
    """From now on nothing but the folder itself is left to take away."""
    fields = {"schema": SCHEMA, "serial": journal.serial, "made_folders": journal.made_folders}
    text = json.dumps(fields | {"changes": [], "ran": [], "owed": []})
    guest.write_bytes(f"{journal.folder}/{JOURNAL}", text.encode())


def without_journal(guest: GuestReader) -> tuple[str, ...]:
    """Folders of backups whose journal is gone."""
    folders = guest.glob(f"{STATE_FOLDER}/*")
    known = {path.rpartition("/")[0] for path in guest.glob(f"{STATE_FOLDER}/*/{JOURNAL}")}
    return tuple(folder for folder in folders if folder not in known)


def _read(guest: GuestReader, path: str) -> OldJournal:
    try:
        return _parsed(path.rpartition("/")[0], json.loads(guest.read_bytes(path)))
    except _BROKEN as error:
        raise GuestError(
            f'"{visible(path)}" in the guest is no journal that this version can read.',
            hint="use the version that made the repair, or copy the files back from the folder beside it.",
        ) from error


def _parsed(folder: str, fields: Mapping[str, Any]) -> OldJournal:
    if fields["schema"] != SCHEMA:
        raise ValueError(f"schema {fields['schema']}")
    edits = [_edit(folder, entry) for entry in fields["changes"]]
    rebuilds = [_rebuild(folder, entry) for entry in fields.get("rebuilds", ())]
    entries = (*edits, *rebuilds)
    wrote = {_path(path) for ran in fields["ran"] for path in ran["wrote"]}
    return OldJournal(
        folder=folder,
        serial=int(fields.get("serial", 0)),
        entries=entries,
        made_folders=tuple(map(_path, fields.get("made_folders", ()))),
        by_programs=tuple(sorted(wrote - {entry.path for entry in entries})),
    )


def _edit(folder: str, entry: Mapping[str, Any]) -> Entry:
    backup = entry["backup"]
    before: Standing = Nothing()
    if backup is not None:
        before = OfFile(sha256=_text(entry["before"]))
    elif entry["before"] is not None:
        label = None if entry.get("label") is None else _text(entry["label"])
        before = OfLink(target=_text(entry["before"]), label=label)
    kinds = {"write-file": "file", "make-symlink": "link", "remove-file": "nothing"}
    left = entry.get("left") or kinds[entry["kind"]]
    return Entry(
        path=_path(entry["path"]),
        before=before,
        after=(_left(left, entry["after"]),),
        backup=None if backup is None else _inside(backup, folder),
    )


def _left(kind: str, after: Any) -> Standing:
    match kind:
        case "file":
            return OfFile(sha256=_text(after))
        case "link":
            return OfLink(target=_text(after))
        case "nothing":
            return Nothing()
        case _:
            return Other()


def _rebuild(folder: str, entry: Mapping[str, Any]) -> Entry:
    after = entry["after"]
    # an interrupted tool leaves half an image, or none
    left = (OfFile(sha256=None), Nothing()) if after is None else (OfFile(sha256=_text(after)),)
    return Entry(
        path=_path(entry["image"]),
        before=OfFile(sha256=None),
        after=left,
        backup=_inside(entry["backup"], folder),
    )


def _path(value: Any) -> str:
    path = _text(value)
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ValueError("not a path")
    return path


def _inside(value: Any, folder: str) -> str:
    path = _path(value)
    if not path.startswith(f"{folder}/backup/"):
        raise ValueError("a backup elsewhere")
    return path


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
