"""Taking repairs back: a guest's files as they were before, from its backups and journals.

Everything is checked before anything is written. Each step leaves a path either as the repair left
it or as it was before, so an undo that was interrupted is simply done again.
"""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vmdk2kvm.errors import ChangedSinceRepair, GuestError
from vmdk2kvm.fixes.journal import JOURNAL, STATE_FOLDER, hash_of
from vmdk2kvm.fixes.undo_journal import (
    Entry,
    Nothing,
    OfFile,
    OfLink,
    OldJournal,
    Other,
    Standing,
    mark_undone,
    read_journals,
    without_journal,
)
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.paths import parent
from vmdk2kvm.guest.protocol import FileType, GuestReader, GuestWriter
from vmdk2kvm.model.report import Finding, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """`plans` newest first; `restored` were put back, `removed` had been made by the repair.

    `left` are paths that programs of the repair wrote and that no backup holds.
    """

    plans: tuple[str, ...]
    restored: tuple[str, ...]
    removed: tuple[str, ...]
    left: tuple[str, ...]
    findings: tuple[Finding, ...]


def undo(guest: GuestWriter) -> Undone:
    """Take back every repair the guest has a journal of, the newest first.

    Without a journal nothing is done and `plans` is empty. Raises ChangedSinceRepair before
    anything is written, GuestError for a journal or a backup that cannot be used.
    """
    journals = [_with_known_images(guest, journal) for journal in read_journals(guest)]
    _check_unchanged(guest, journals)
    done = [_put_back_all(guest, journal) for journal in journals]
    lost = [_lost_finding(each) for each in without_journal(guest) if not _remove_if_empty(guest, each)]
    _remove_if_empty(guest, STATE_FOLDER)
    outer = [folder for journal in journals for folder in journal.made_folders if _is_above_ours(folder)]
    for folder in reversed(outer):
        _remove_if_empty(guest, folder)
    return Undone(
        plans=tuple(journal.folder.rpartition("/")[2] for journal in journals),
        restored=_unique(path for restored, _, _ in done for path in restored),
        removed=_unique(path for _, removed, _ in done for path in removed),
        left=_unique(path for journal in journals for path in journal.by_programs),
        findings=(*lost, *(finding for _, _, kept in done for finding in kept)),
    )


def _with_known_images(guest: GuestReader, journal: OldJournal) -> OldJournal:
    """The journal does not say what an image held before its rebuild; the backup does.

    A rebuild that was owed but never begun has no backup, and nothing to take back.
    """
    entries = []
    for entry in journal.entries:
        if entry.before != OfFile(sha256=None):
            entries.append(entry)
        elif entry.backup and guest.exists(entry.backup):
            entries.append(replace(entry, before=OfFile(sha256=hash_of(guest, entry.backup))))
        elif entry.after[0] != OfFile(sha256=None):
            raise _no_backup(entry)
    return replace(journal, entries=tuple(entries))


def _check_unchanged(guest: GuestReader, journals: Sequence[OldJournal]) -> None:
    """Every path stands as a repair left it, or as it was; an older repair is seen behind a newer one."""
    seen: dict[str, Standing] = {}
    changed: list[str] = []
    for journal in journals:
        for entry in journal.entries:
            now = seen[entry.path] if entry.path in seen else _standing(guest, entry.path)
            if now != entry.before and not any(_fits(now, after) for after in entry.after):
                changed.append(entry.path)
            elif now != entry.before and entry.backup and not guest.exists(entry.backup):
                raise _no_backup(entry)
            seen[entry.path] = entry.before
    if changed:
        raise _changed(tuple(dict.fromkeys(changed)))


def _fits(now: Standing, left: Standing) -> bool:
    return now == left or (isinstance(now, OfFile) and left == OfFile(sha256=None))


def _standing(guest: GuestReader, path: str) -> Standing:
    try:
        stat = guest.stat(path)
    except FileNotFoundError:
        return Nothing()
    match stat.type:
        case FileType.REGULAR:
            return OfFile(sha256=hash_of(guest, path))
        case FileType.SYMLINK:
            return OfLink(target=guest.readlink(path))
        case _:
            return Other()


def _put_back_all(
    guest: GuestWriter, journal: OldJournal
) -> tuple[list[str], list[str], tuple[Finding, ...]]:
    """What was restored, what was removed, and what stays.

    The journal says so before the backups go, and goes last: whatever is left is taken up again.
    """
    restored: list[str] = []
    removed: list[str] = []
    for entry in journal.entries:
        if _standing(guest, entry.path) == entry.before:
            continue
        _put_back(guest, entry)
        (removed if entry.before == Nothing() else restored).append(entry.path)
    kept = tuple(_remove_made_folders(guest, journal))
    mark_undone(guest, journal)
    if guest.exists(f"{journal.folder}/backup"):
        guest.remove_tree(f"{journal.folder}/backup")
    guest.remove(f"{journal.folder}/{JOURNAL}")
    _remove_if_empty(guest, journal.folder)
    return restored, removed, kept


def _put_back(guest: GuestWriter, entry: Entry) -> None:
    match entry.before:
        case OfFile():
            assert entry.backup is not None
            guest.make_folder(parent(entry.path))
            guest.copy_within(entry.backup, entry.path)
        case OfLink(target=target, label=label):
            guest.make_folder(parent(entry.path))
            if isinstance(_standing(guest, entry.path), OfFile):
                guest.remove(entry.path)
            guest.make_symlink(entry.path, target)
            if label is not None:
                guest.set_label(entry.path, label)
        case _:
            guest.remove(entry.path)


def _remove_made_folders(guest: GuestWriter, journal: OldJournal) -> Iterator[Finding]:
    for folder in reversed(journal.made_folders):
        if not _is_above_ours(folder) and not _remove_if_empty(guest, folder):
            yield Finding(
                id="folder-kept",
                level=Level.INFO,
                message=f'"{visible(folder)}" was made by the repair and holds other files now; it stays.',
                remedy="remove it in the guest if it is not needed.",
            )


def _is_above_ours(folder: str) -> bool:
    return f"{STATE_FOLDER}/".startswith(f"{folder}/")


def _remove_if_empty(guest: GuestWriter, folder: str) -> bool:
    """Whether the folder is gone."""
    try:
        if guest.stat(folder).type is not FileType.DIRECTORY:
            return False
    except FileNotFoundError:
        return True
    plain = glob.escape(folder)
    if guest.glob(f"{plain}/*") or guest.glob(f"{plain}/.*"):
        return False
    guest.remove_folder(folder)
    return True


def _unique(paths: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(set(paths)))


# findings and errors


def _lost_finding(folder: str) -> Finding:
    return Finding(
        id="backup-without-journal",
        level=Level.WARNING,
        message=f'"{visible(folder)}" in the guest has no journal, so nothing in it was put back.',
        remedy="a repair that never began leaves such a folder; look into it and remove it.",
    )


def _changed(paths: tuple[str, ...]) -> ChangedSinceRepair:
    listed = ", ".join(f'"{visible(path)}"' for path in paths)
    return ChangedSinceRepair(
        f"the guest's files changed after the repair, so nothing was put back: {listed}.",
        hint=f"the files as they were lie below {STATE_FOLDER} in the guest; copy by hand what is wanted.",
        paths=paths,
    )


def _no_backup(entry: Entry) -> GuestError:
    return GuestError(
        f'the backup of "{visible(entry.path)}" is gone from the guest, so nothing was put back.',
        hint="take the file from the source machine, or leave the repair as it is.",
    )
