"""Apply, then undo: the guest is as it was, whatever happened in between."""

import contextlib
import json
from collections.abc import Callable

import pytest

from tests.linux_guests import VERSION, debian, guest_os, image_path, run_program
from vmdk2kvm.errors import ChangedSinceRepair, GuestError
from vmdk2kvm.fixes.engine import apply
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.undo import Undone, undo
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.guest.memory import File, Folder, Link, MemoryGuest, Node
from vmdk2kvm.guest.protocol import CommandResult
from vmdk2kvm.model.changes import (
    Change,
    MakeSymlink,
    PlannedChange,
    RemoveFile,
    RemoveLink,
    RunCommand,
    WriteFile,
)
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Level

FSTAB = File(content=b"a b c\n", mode=0o640, uid=3, gid=6, mtime_s=77)
WRITE = WriteFile(path="/etc/link", before=b"a b c\n", after=b"z\n")  # goes through to /etc/fstab
REMOVE = RemoveFile(path="/boot/device.map", before=b"(hd0) /dev/sda\n")
NEW = WriteFile(path="/etc/new.d/deep/x", before=None, after=b"n", mode=0o600)
LINK = MakeSymlink(path="/etc/other.d/l", before=None, target="x")
RELINK = MakeSymlink(path="/etc/target", before="old", target="new")
EDITS = (WRITE, REMOVE, NEW, LINK, RELINK)


def a_guest(**more: bytes) -> MemoryGuest:
    return MemoryGuest(
        {
            "/etc/fstab": FSTAB,
            "/etc/link": Link(target="fstab"),
            "/etc/target": Link(target="old", label="system_u:object_r:etc_t:s0"),
            "/boot/device.map": File(content=b"(hd0) /dev/sda\n", mode=0o600),
            "/var/lib": Folder(mode=0o711),
            **more,
        },
        programs=run_program,
    )


def of(*changes: Change) -> Plan:
    return plan_of([PlannedChange(fix="test", change=change) for change in changes], ())


def repaired(*changes: Change, guest: MemoryGuest | None = None) -> tuple[MemoryGuest, dict[str, Node]]:
    guest = guest or a_guest()
    before = guest.snapshot()
    apply(of(*changes), guest, backup=True)
    return guest, before


def copied(guest: MemoryGuest, kind: type[MemoryGuest] = MemoryGuest) -> MemoryGuest:
    nodes = {path: node for path, node in guest.snapshot().items() if path != "/"}
    return kind(nodes, programs=run_program)


def test_everything_is_as_it_was() -> None:
    guest, before = repaired(*EDITS)
    assert guest.snapshot() != before
    done = undo(guest)
    assert guest.snapshot() == before
    assert done == Undone(
        plans=(of(*EDITS).id,),
        restored=("/boot/device.map", "/etc/fstab", "/etc/target"),
        removed=("/etc/new.d/deep/x", "/etc/other.d/l"),
        left=(),
        findings=(),
    )


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.kind)
def test_each_change_alone(change: Change) -> None:
    guest, before = repaired(change)
    undo(guest)
    assert guest.snapshot() == before


def test_there_is_nothing_to_undo_twice() -> None:
    guest, before = repaired(*EDITS)
    undo(guest)
    assert undo(guest) == Undone(plans=(), restored=(), removed=(), left=(), findings=())
    assert guest.snapshot() == before


def test_a_guest_that_was_never_repaired() -> None:
    guest = a_guest()
    before = guest.snapshot()
    assert undo(guest).plans == ()
    assert guest.snapshot() == before


def test_changes_of_one_path_after_another() -> None:
    guest, before = repaired(
        WriteFile(path="/etc/fstab", before=b"a b c\n", after=b"1"),
        WriteFile(path="/etc/fstab", before=b"1", after=b"2"),
        RemoveFile(path="/etc/fstab", before=b"2"),
        MakeSymlink(path="/etc/fstab", before=None, target="elsewhere"),
    )
    assert guest.readlink("/etc/fstab") == "elsewhere"
    assert undo(guest).restored == ("/etc/fstab",)
    assert guest.snapshot() == before


def test_a_file_in_the_place_of_a_link() -> None:
    guest, before = repaired(
        RemoveLink(path="/etc/target", before="old"),
        WriteFile(path="/etc/target", before=None, after=b"no link any more"),
    )
    assert guest.read_bytes("/etc/target") == b"no link any more"
    undo(guest)
    assert guest.snapshot() == before


# changed since


@pytest.mark.parametrize(
    ("path", "alter"),
    [
        ("/etc/fstab", lambda guest: guest.write_bytes("/etc/fstab", b"by hand")),
        ("/etc/fstab", lambda guest: guest.remove("/etc/fstab")),
        ("/boot/device.map", lambda guest: guest.write_bytes("/boot/device.map", b"again")),
        ("/boot/device.map", lambda guest: guest.make_folder("/boot/device.map")),
        ("/etc/new.d/deep/x", lambda guest: guest.write_bytes("/etc/new.d/deep/x", b"by hand")),
        ("/etc/other.d/l", lambda guest: guest.make_symlink("/etc/other.d/l", "y")),
        ("/etc/target", lambda guest: guest.remove("/etc/target")),
    ],
)
def test_a_file_that_changed_since_stops_everything(path: str, alter: Callable[[MemoryGuest], None]) -> None:
    guest, _ = repaired(*EDITS)
    alter(guest)
    now = guest.snapshot()
    with pytest.raises(ChangedSinceRepair) as caught:
        undo(guest)
    assert caught.value.paths == (path,)
    assert f'"{path}"' in caught.value.message
    assert guest.snapshot() == now, "something was written"


def test_every_changed_file_is_named() -> None:
    guest, _ = repaired(*EDITS)
    guest.write_bytes("/etc/fstab", b"x")
    guest.write_bytes("/etc/new.d/deep/x", b"x")
    with pytest.raises(ChangedSinceRepair) as caught:
        undo(guest)
    assert caught.value.paths == ("/etc/fstab", "/etc/new.d/deep/x")


def test_what_the_operator_put_back_by_hand_is_no_change() -> None:
    guest, before = repaired(*EDITS)
    guest.copy_within(f"/var/lib/vmdk2kvm/{of(*EDITS).id}/backup/etc/fstab", "/etc/fstab")
    guest.remove("/etc/new.d/deep/x")
    assert undo(guest).restored == ("/boot/device.map", "/etc/target")
    assert guest.snapshot() == before


def test_a_folder_that_holds_other_files_now_stays() -> None:
    guest, before = repaired(NEW)
    guest.write_bytes("/etc/new.d/.mine", b"")
    assert [(each.id, each.level) for each in undo(guest).findings] == [("folder-kept", Level.INFO)]
    assert guest.snapshot() == {**before, "/etc/new.d": Folder(), "/etc/new.d/.mine": File(content=b"")}


# several repairs


def test_the_newest_repair_is_taken_back_first() -> None:
    guest, before = repaired(WriteFile(path="/etc/fstab", before=b"a b c\n", after=b"one"))
    apply(of(WriteFile(path="/etc/fstab", before=b"one", after=b"two"), NEW), guest, backup=True)
    done = undo(guest)
    assert len(done.plans) == 2
    assert done.plans[0] == of(WriteFile(path="/etc/fstab", before=b"one", after=b"two"), NEW).id
    assert guest.snapshot() == before


def test_the_same_plan_twice_is_one_repair() -> None:
    guest, before = repaired(NEW)
    guest.remove(NEW.path)
    apply(of(NEW), guest, backup=True)
    assert undo(guest).removed == (NEW.path,)
    assert set(before) <= set(guest.snapshot())
    assert not guest.exists(NEW.path)


def test_a_change_between_two_repairs_is_seen() -> None:
    guest, _ = repaired(WriteFile(path="/etc/fstab", before=b"a b c\n", after=b"one"))
    guest.write_bytes("/etc/fstab", b"by hand")
    apply(of(WriteFile(path="/etc/fstab", before=b"by hand", after=b"two")), guest, backup=True)
    with pytest.raises(ChangedSinceRepair):
        undo(guest)
    assert guest.read_bytes("/etc/fstab") == b"two"


# programs


def test_a_rebuilt_initramfs_comes_back_from_its_backup() -> None:
    guest = debian()
    before = guest.snapshot()
    planned = INITRAMFS_VIRTIO_FIX.plan(guest, guest_os(guest))
    apply(of(*(each for each in planned if isinstance(each, Change))), guest, backup=True)
    by_tool = f"/var/lib/initramfs-tools/{VERSION}"
    done = undo(guest)
    assert image_path() in done.restored
    assert done.left == (by_tool,)
    after = guest.snapshot()
    assert {path for path in after if after[path] != before.get(path)} == {
        by_tool,
        "/var",
        "/var/lib",
        "/var/lib/initramfs-tools",
    }


@pytest.mark.parametrize("left", [None, b"half an image"])
def test_a_rebuild_that_never_ended(left: bytes | None) -> None:
    def dies(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        guest.remove(image_path())
        if left is not None:
            guest.write_bytes(image_path(), left)
        raise KeyboardInterrupt

    guest = debian()
    guest.programs = dies
    before = guest.snapshot()
    changes = [change for change in INITRAMFS_VIRTIO_FIX.plan(guest, guest_os(guest))]
    with pytest.raises(KeyboardInterrupt):
        apply(of(*(each for each in changes if isinstance(each, Change))), guest, backup=True)
    undo(guest)
    after = guest.snapshot()
    assert {path for path in after if after[path] != before.get(path)} <= {"/var", "/var/lib"}
    assert before.items() <= after.items()


def test_a_file_that_a_program_of_the_repair_changed_again() -> None:
    def purge(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        guest.write_bytes("/etc/fstab", b"by the program")
        guest.remove("/etc/target")
        guest.write_bytes("/etc/done", b"")
        return CommandResult(status=0, output="")

    guest = a_guest()
    guest.programs = purge
    before = guest.snapshot()
    command = RunCommand(argv=("purge",), done_when="/etc/done", may_write=("/etc/",))
    apply(of(WRITE, command), guest, backup=True)
    done = undo(guest)
    assert done.restored == ("/etc/fstab",)
    assert done.left == ("/etc/done",)
    assert guest.snapshot()["/etc/fstab"] == before["/etc/fstab"]


# interrupted


class Dying(MemoryGuest):
    """A guest that goes away at the `left`th write."""

    left = 1_000_000

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._spend()
        super().write_bytes(path, content, mode)

    def remove(self, path: str) -> None:
        self._spend()
        super().remove(path)

    def make_symlink(self, path: str, target: str) -> None:
        self._spend()
        super().make_symlink(path, target)

    def copy_within(self, source: str, target: str) -> None:
        self._spend()
        super().copy_within(source, target)

    def remove_folder(self, path: str) -> None:
        self._spend()
        super().remove_folder(path)

    def remove_tree(self, path: str) -> None:
        for file in self.list_tree(path):  # file by file, as it happens on a disk
            self.remove(file)
        super().remove_tree(path)


def deaths() -> range:
    """How many writes one undo of all edits is made of."""
    guest = copied(repaired(*EDITS)[0], Dying)
    undo(guest)
    assert isinstance(guest, Dying)
    return range(Dying.left - guest.left)


@pytest.mark.parametrize("writes", deaths())
def test_killed_at_any_write_and_done_again(writes: int) -> None:
    fixed, before = repaired(*EDITS)
    guest = copied(fixed, Dying)
    assert isinstance(guest, Dying)
    guest.left = writes
    with pytest.raises(KeyboardInterrupt):
        undo(guest)
    guest.left = Dying.left
    undo(guest)
    assert guest.snapshot() == before


@pytest.mark.parametrize("writes", range(12))
def test_a_repair_killed_at_any_write_can_be_taken_back(writes: int) -> None:
    guest = copied(a_guest(), Dying)
    assert isinstance(guest, Dying)
    before = guest.snapshot()
    guest.left = writes
    with contextlib.suppress(KeyboardInterrupt):
        apply(of(*EDITS), guest, backup=True)
    guest.left = Dying.left
    done = undo(guest)
    ours = {path for path in guest.snapshot() if path not in before}
    if [each.id for each in done.findings] == ["backup-without-journal"]:  # nothing was edited yet
        assert all(path.startswith("/var/lib") for path in ours)
    else:
        assert ours == set()
    assert {path: guest.snapshot()[path] for path in before} == before


# journals of strangers


def with_journal(text: str) -> MemoryGuest:
    return a_guest(**{"/var/lib/vmdk2kvm/abc/journal.json": text.encode()})


GOOD = {"schema": 1, "changes": [], "ran": [], "owed": []}
ENTRY = {"path": "/etc/fstab", "before": "x", "backup": None, "kind": "write-file", "after": "y"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        json.dumps(GOOD | {"schema": 2}),
        json.dumps(GOOD | {"changes": [ENTRY | {"path": "etc/fstab"}]}),
        json.dumps(GOOD | {"changes": [ENTRY | {"path": "/etc/../x"}]}),
        json.dumps(GOOD | {"changes": [ENTRY | {"backup": "/etc/shadow"}]}),
        json.dumps(GOOD | {"changes": [ENTRY | {"backup": "/var/lib/vmdk2kvm/abc/backup/../../x"}]}),
        json.dumps(GOOD | {"changes": [ENTRY | {"after": 3}]}),
        json.dumps(GOOD | {"changes": [ENTRY | {"kind": "dance"}]}),
        json.dumps(GOOD | {"made_folders": ["/etc", 3]}),
    ],
    ids=range(13),
)
def test_a_journal_that_is_none_is_refused(text: str) -> None:
    guest = with_journal(text)
    before = guest.snapshot()
    with pytest.raises(GuestError, match="journal"):
        undo(guest)
    assert guest.snapshot() == before


def test_a_journal_of_the_first_release_is_understood() -> None:
    entry = ENTRY | {"path": "/etc/target", "before": "old", "kind": "make-symlink", "after": "new"}
    guest = with_journal(json.dumps(GOOD | {"plan": "abc", "changes": [entry]}))
    guest.make_symlink("/etc/target", "new")
    assert undo(guest).restored == ("/etc/target",)
    assert guest.readlink("/etc/target") == "old"


def test_a_backup_that_is_gone_is_told_before_anything_is_written() -> None:
    guest, _ = repaired(*EDITS)
    guest.remove(f"/var/lib/vmdk2kvm/{of(*EDITS).id}/backup/boot/device.map")
    now = guest.snapshot()
    with pytest.raises(GuestError, match=r'"/boot/device\.map"'):
        undo(guest)
    assert guest.snapshot() == now


def test_too_many_journals_are_refused() -> None:
    journals = {f"/var/lib/vmdk2kvm/{n}/journal.json": b"{}" for n in range(101)}
    with pytest.raises(GuestError, match="more than 100"):
        undo(MemoryGuest(journals))
