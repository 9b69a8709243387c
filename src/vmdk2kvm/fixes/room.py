"""Whether a plan fits into the guest's file systems, asked before anything is written.

Counted are edits, backups, the journal, and each rebuild with the old image kept meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vmdk2kvm.errors import NoRoomInGuest
from vmdk2kvm.fixes.journal import STATE_FOLDER
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    CopyWithin,
    Exact,
    MakeSymlink,
    Rebuild,
    RemoveFile,
    RemoveLink,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.units import KIB, MIB, format_bytes

BLOCK_BYTES = 4 * KIB
RESERVE_BYTES = MIB  # folders, extents, what the file system takes for itself
JOURNAL_BYTES = 64 * KIB
JOURNAL_INODES = 4  # the folder of all journals, this one's, its backups' and the journal


@dataclass(slots=True, kw_only=True)
class _Room:
    """Free space by mount point, and what the plan played through so far takes of it."""

    free_bytes: dict[str, int]
    free_inodes: dict[str, int]
    taken_bytes: Counter[str] = field(default_factory=Counter)
    taken_inodes: Counter[str] = field(default_factory=Counter)

    def needed_bytes(self, mountpoint: str, more_bytes: int) -> int:
        return self.taken_bytes[mountpoint] + more_bytes + RESERVE_BYTES

    def fits(self, mountpoint: str, more_bytes: int) -> bool:
        """A file system that was not measured is not judged."""
        free_bytes = self.free_bytes.get(mountpoint)
        return free_bytes is None or self.needed_bytes(mountpoint, more_bytes) <= free_bytes

    def check(self, mountpoint: str, more_bytes: int = 0) -> None:
        if not self.fits(mountpoint, more_bytes):
            needed_bytes = self.needed_bytes(mountpoint, more_bytes)
            raise _no_room(mountpoint, needed_bytes, self.free_bytes[mountpoint])


def images_to_move_away(plan: Plan, os: GuestOs, *, backup: bool) -> frozenset[str]:
    """The images whose file system cannot hold old and new together. Raises NoRoomInGuest."""
    room = _Room(
        free_bytes={space.mountpoint: space.free_bytes for space in os.space},
        free_inodes={s.mountpoint: s.free_inodes for s in os.space if s.free_inodes is not None},
    )
    mountpoints = tuple(room.free_bytes)
    edits = [item.change for item in plan.changes if isinstance(item.change, Exact)]
    _take_edits(room, mountpoints, edits, backup=backup)
    old_sizes = {k.initramfs.path: k.initramfs.size_bytes for k in os.kernels if k.initramfs}
    rebuilds = [item.change for item in plan.changes if isinstance(item.change, Rebuild)]
    moved = [
        rebuild.path for rebuild in rebuilds if _take_rebuild(room, mountpoints, rebuild, old_sizes, backup)
    ]
    return frozenset(moved)


def _take_edits(
    room: _Room,
    mountpoints: tuple[str, ...],
    edits: Iterable[Exact],
    *,
    backup: bool,
) -> None:
    kept_on = mountpoint_of(STATE_FOLDER, mountpoints)
    touched = {kept_on} if backup else set()
    if backup:
        room.taken_bytes[kept_on] += JOURNAL_BYTES
        room.taken_inodes[kept_on] += JOURNAL_INODES
    for edit in edits:
        if isinstance(edit, SetLabel):
            continue  # it lies in the inode that was counted
        at = mountpoint_of(edit.path, mountpoints)
        before, after = _sizes(edit)
        room.taken_bytes[at] += max(0, after - before) + BLOCK_BYTES
        room.taken_inodes[at] += 1
        touched.add(at)
        if backup and before:
            room.taken_bytes[kept_on] += before + BLOCK_BYTES
            room.taken_inodes[kept_on] += 2  # the copy and, at most, its folder
        elif isinstance(edit, AppendInitramfs):  # the old image is kept until the new one is proven
            room.check(kept_on, before)
    for mountpoint in touched:
        room.check(mountpoint)
        _check_inodes(room, mountpoint)


def _take_rebuild(
    room: _Room,
    mountpoints: tuple[str, ...],
    rebuild: Rebuild,
    old_sizes: Mapping[str, int],
    backup: bool,
) -> bool:
    """Count one rebuild; whether the old image has to leave its place first."""
    at, kept_on = mountpoint_of(rebuild.path, mountpoints), mountpoint_of(STATE_FOLDER, mountpoints)
    old_bytes = old_sizes.get(rebuild.path, 0)
    room.check(kept_on, old_bytes)
    room.taken_bytes[kept_on] += old_bytes
    room.taken_inodes[at] += 1  # the new image, or half of it, beside the old one
    room.taken_inodes[kept_on] += 2
    for mountpoint in (at, kept_on):
        _check_inodes(room, mountpoint)
    move_away = not room.fits(at, rebuild.estimated_bytes)
    if move_away:
        room.check(at, rebuild.estimated_bytes - old_bytes)
    room.taken_bytes[at] += max(0, rebuild.estimated_bytes - old_bytes)
    if not backup:
        room.taken_bytes[kept_on] -= old_bytes
    return move_away


def mountpoint_of(path: str, mountpoints: Iterable[str]) -> str:
    """The mount point whose file system holds `path`."""
    holding = (each for each in mountpoints if f"{path}/".startswith(each.rstrip("/") + "/"))
    return max(holding, key=len, default="/")


def _sizes(edit: Exact) -> tuple[int, int]:
    match edit:
        case WriteFile():
            return len(edit.before or b""), len(edit.after)
        case RemoveFile():
            return len(edit.before), 0
        case MakeSymlink():
            return 0, len(edit.target)
        case SetLabel() | RemoveLink():
            return 0, 0
        case CopyWithin():
            return 0, edit.size_bytes
        case AppendInitramfs():
            return edit.before_bytes, edit.after_bytes


def _check_inodes(room: _Room, mountpoint: str) -> None:
    needed, free = room.taken_inodes[mountpoint], room.free_inodes.get(mountpoint)
    if free is not None and free < needed:
        raise NoRoomInGuest(
            f'"{mountpoint}" in the guest has {free} free inodes; the repair needs {needed}.',
            hint=f"remove small files from {mountpoint} in the guest, then run again.",
            mountpoint=mountpoint,
            needed_bytes=0,
        )


def _no_room(mountpoint: str, needed_bytes: int, free_bytes: int) -> NoRoomInGuest:
    return NoRoomInGuest(
        f'"{mountpoint}" in the guest has {format_bytes(free_bytes)} free; '
        f"the repair needs {format_bytes(needed_bytes)}.",
        hint=f"make room on {mountpoint} in the guest (old kernels, caches), then run again.",
        mountpoint=mountpoint,
        needed_bytes=needed_bytes,
    )
