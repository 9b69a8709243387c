"""A file of the guest copied inside the guest: planned, applied, backed up, refused."""

import hashlib
import json

import pytest

from tests.linux_guests import guest_os
from vmdk2kvm.errors import ChangedSinceRepair, NoRoomInGuest, StalePlan
from vmdk2kvm.fixes.engine import Misplanned, apply, plan
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.pending import PendingGuest
from vmdk2kvm.fixes.plan_text import render_change
from vmdk2kvm.fixes.room import images_to_move_away
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.guest.memory import File, Link, MemoryGuest
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import Change, CopyWithin, RemoveFile, WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, Space
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.units import MIB


def copy(path: str = "/efi/BOOT/X.EFI", content: bytes = b"MZ", source: str = "/efi/a/x.efi") -> CopyWithin:
    digest = hashlib.sha256(content).hexdigest()
    return CopyWithin(path=path, source=source, size_bytes=len(content), sha256=digest)


def planned(guest: GuestReader, *changes: Change) -> Plan:
    def planner(guest: GuestReader, os: GuestOs) -> Planned:
        yield from changes

    fix = Fix(name="copies", reason="it is a test", families=LINUX_FAMILIES, plan=planner)
    return plan((fix,), guest, guest_os(guest))


@pytest.fixture
def guest() -> MemoryGuest:
    return MemoryGuest(
        {"/efi/a/x.efi": File(content=b"MZ", mode=0o700, uid=3), "/efi/gone": Link(target="no")}
    )


@pytest.mark.parametrize("backup", [True, False])
def test_a_copy_has_content_mode_and_owner_of_its_source(guest: MemoryGuest, backup: bool) -> None:
    applied = apply(planned(guest, copy()), guest, backup=backup)
    assert applied.written == ("/efi/BOOT/X.EFI",)
    assert guest.snapshot()["/efi/BOOT/X.EFI"] == File(content=b"MZ", mode=0o700, uid=3)
    assert guest.snapshot()["/efi/a/x.efi"] == File(content=b"MZ", mode=0o700, uid=3)


def test_the_journal_says_that_nothing_was_there(guest: MemoryGuest) -> None:
    made = planned(guest, copy())
    apply(made, guest, backup=True)
    journal = json.loads(guest.read_bytes(f"/var/lib/vmdk2kvm/{made.id}/journal.json"))
    (entry,) = journal["changes"]
    assert (entry["kind"], entry["path"], entry["before"]) == ("copy-within", "/efi/BOOT/X.EFI", None)
    assert entry["after"] == hashlib.sha256(b"MZ").hexdigest()


def test_taking_it_back_removes_the_copy_and_its_folder(guest: MemoryGuest) -> None:
    before = guest.snapshot()
    apply(planned(guest, copy()), guest, backup=True)
    assert undo(guest).removed == ("/efi/BOOT/X.EFI",)
    assert guest.snapshot() == before


def test_a_copy_that_was_changed_since_is_not_removed(guest: MemoryGuest) -> None:
    apply(planned(guest, copy()), guest, backup=True)
    guest.write_bytes("/efi/BOOT/X.EFI", b"updated")
    with pytest.raises(ChangedSinceRepair):
        undo(guest)


@pytest.mark.parametrize(
    "change",
    [
        copy(path="/efi/a/x.efi"),
        copy(path="/efi/gone"),
        copy(path="/efi/a"),
        copy(source="/efi/a/none.efi"),
        copy(content=b"ZM"),
    ],
)
def test_only_a_new_file_of_known_content_is_copied(guest: MemoryGuest, change: CopyWithin) -> None:
    with pytest.raises(Misplanned):
        planned(guest, change)


def test_a_source_that_changed_or_a_file_in_the_way_stops_everything(guest: MemoryGuest) -> None:
    made = planned(guest, copy())
    for path in ("/efi/a/x.efi", "/efi/BOOT/X.EFI"):
        there = MemoryGuest({"/efi/a/x.efi": b"MZ"} | {path: b"other"})
        before = there.snapshot()
        with pytest.raises(StalePlan):
            apply(made, there, backup=True)
        assert there.snapshot() == before


def test_a_copy_is_of_the_source_as_it_will_be(guest: MemoryGuest) -> None:
    write = WriteFile(path="/efi/a/x.efi", before=b"MZ", after=b"new")
    apply(planned(guest, write, copy(content=b"new")), guest, backup=True)
    assert guest.read_bytes("/efi/BOOT/X.EFI") == b"new"


def test_a_planned_copy_is_seen_by_the_fixes_after_it(guest: MemoryGuest) -> None:
    pending = PendingGuest(guest)
    pending.add(copy())
    assert pending.read_bytes("/efi/BOOT/X.EFI") == b"MZ"
    assert pending.stat("/efi/BOOT/X.EFI").mode == 0o700
    assert pending.glob("/efi/BOOT/*") == ("/efi/BOOT/X.EFI",)
    assert not pending.matches(copy())
    pending.add(RemoveFile(path="/efi/BOOT/X.EFI", before=b"MZ"))
    assert pending.matches(copy())
    assert not guest.exists("/efi/BOOT")


def test_room_is_counted_for_the_copy(guest: MemoryGuest) -> None:
    big = bytes(2 * MIB)
    guest.write_bytes("/efi/a/x.efi", big)
    made = planned(guest, copy(content=big))
    for free_bytes, fits in ((3 * MIB + 4096, True), (3 * MIB, False)):
        os = guest_os(guest, space=(Space(mountpoint="/efi", free_bytes=free_bytes),))
        if fits:
            assert images_to_move_away(made, os, backup=True) == frozenset()
        else:
            with pytest.raises(NoRoomInGuest):
                images_to_move_away(made, os, backup=True)


def test_it_reads_as_a_copy() -> None:
    shown = render_change(copy(source="/efi/\x1b/x.efi"))
    assert shown.startswith("/efi/\\x1b/x.efi copied to /efi/BOOT/X.EFI (sha256 ")
