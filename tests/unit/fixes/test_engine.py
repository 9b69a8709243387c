import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.linux_guests import (
    ALL_MODULES,
    VERSION,
    debian,
    guest_os,
    image_path,
    inspected_again,
    run_program,
)
from vmdk2kvm.errors import DoesNotConverge, GuestError, RebuildUnproven, StalePlan
from vmdk2kvm.fixes.engine import Applied, Misplanned, apply, converge, plan
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.pending import UnknownAfter
from vmdk2kvm.guest.memory import File, Folder, Link, MemoryGuest, Node, Programs
from vmdk2kvm.guest.protocol import CommandResult, GuestReader
from vmdk2kvm.model.changes import (
    Change,
    MakeSymlink,
    Rebuild,
    RebuildKind,
    RemoveFile,
    RunCommand,
    WriteFile,
)
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, InitramfsTool, OsFamily
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding, Level


def fix_of(*items: Change | Finding, name: str = "test-fix") -> Fix:
    def planner(guest: GuestReader, os: GuestOs) -> Planned:
        yield from items

    return Fix(name=name, reason="it is a test", families=LINUX_FAMILIES, plan=planner)


def replacing(path: str, old: str, new: str) -> Fix:
    """A fix that replaces text where it stands."""

    def planner(guest: GuestReader, os: GuestOs) -> Iterator[Change]:
        text = guest.read_text(path)
        if old in text:
            yield WriteFile(path=path, before=text.encode(), after=text.replace(old, new).encode())

    return Fix(name=f"{old}-to-{new}", reason="it is a test", families=LINUX_FAMILIES, plan=planner)


def plan_on(guest: GuestReader, *fixes: Fix) -> Plan:
    return plan(fixes, guest, guest_os(guest))


def tree(guest: MemoryGuest) -> dict[str, Node]:
    """Everything but the engine's own folder."""
    return {path: node for path, node in guest.snapshot().items() if not path.startswith("/var")}


@pytest.fixture
def guest() -> MemoryGuest:
    return MemoryGuest(
        {
            "/etc/fstab": File(content=b"a b c\n", mode=0o640, uid=3, gid=6),
            "/etc/link": Link(target="fstab"),
            "/boot/device.map": b"(hd0) /dev/sda\n",
            "/boot/grub/grub.cfg": b"set",
        },
        programs=run_program,
    )


COMMAND = RunCommand(argv=("purge", "tools"), done_when="/etc/done", may_write=("/etc/done", "/usr/"))
REBUILD = Rebuild(
    what=RebuildKind.INITRAMFS,
    tool=InitramfsTool.INITRAMFS_TOOLS,
    kernel=VERSION,
    path=image_path(),
    must_hold=frozenset({"virtio_blk"}),
    estimated_bytes=100,
)
REMOVE = RemoveFile(path="/boot/device.map", before=b"(hd0) /dev/sda\n")


# planning


def test_planning_changes_nothing_and_is_repeatable(guest: MemoryGuest) -> None:
    before = guest.snapshot()
    fixes = (replacing("/etc/fstab", "a", "x"), fix_of(REMOVE))
    one, two = plan_on(guest, *fixes), plan_on(guest, *fixes)
    assert one == two
    assert len(one.id) == 12
    assert int(one.id, 16) >= 0
    assert guest.snapshot() == before
    assert guest.commands == []
    assert plan_on(guest, fixes[0]).id != one.id


def test_each_fix_sees_the_guest_as_the_ones_before_leave_it(guest: MemoryGuest) -> None:
    found = plan_on(guest, replacing("/etc/fstab", "a", "b"), replacing("/etc/fstab", "b b", "z"))
    assert [item.change for item in found.changes] == [
        WriteFile(path="/etc/fstab", before=b"a b c\n", after=b"b b c\n"),
        WriteFile(path="/etc/fstab", before=b"b b c\n", after=b"z c\n"),
    ]
    assert [item.fix for item in found.changes] == ["a-to-b", "b b-to-z"]


def test_the_steps_are_edit_run_rebuild(guest: MemoryGuest) -> None:
    link = MakeSymlink(path="/etc/l", before=None, target="x")
    found = plan_on(guest, fix_of(REBUILD), fix_of(COMMAND), fix_of(REMOVE), fix_of(link))
    assert [item.change for item in found.changes] == [REMOVE, link, COMMAND, REBUILD]


def test_a_rebuild_asked_for_twice_is_done_once(guest: MemoryGuest) -> None:
    more = Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=InitramfsTool.INITRAMFS_TOOLS,
        kernel=VERSION,
        path=image_path(),
        must_hold=frozenset({"nvme"}),
        estimated_bytes=300,
    )
    (item,) = plan_on(guest, fix_of(REBUILD, name="first"), fix_of(more, name="second")).changes
    assert isinstance(item.change, Rebuild)
    assert (item.fix, item.change.must_hold, item.change.estimated_bytes) == (
        "first",
        {"virtio_blk", "nvme"},
        300,
    )


def test_a_fix_of_another_family_is_not_asked(guest: MemoryGuest) -> None:
    windows = Fix(name="w", reason="r", families=frozenset({OsFamily.WINDOWS}), plan=fix_of(REMOVE).plan)
    assert plan_on(guest, windows).changes == ()


def test_findings_are_part_of_the_plan(guest: MemoryGuest) -> None:
    finding = Finding(id="x", level=Level.INFO, message="m", remedy="r")
    assert plan_on(guest, fix_of(finding)).findings == (finding,)
    assert plan_on(guest, fix_of(finding)).id != plan_on(guest).id


@pytest.mark.parametrize(
    "change",
    [
        WriteFile(path="/etc/fstab", before=b"other", after=b"x"),
        WriteFile(path="/etc/fstab", before=b"a b c\n", after=b"a b c\n"),
        WriteFile(path="/etc/fstab", before=None, after=b"x"),
        RemoveFile(path="/etc/none", before=b""),
        MakeSymlink(path="/etc/fstab", before=None, target="x"),
    ],
)
def test_a_change_of_something_else_is_a_mistake_of_the_fix(guest: MemoryGuest, change: Change) -> None:
    with pytest.raises(Misplanned):
        plan_on(guest, fix_of(change))


def test_an_edit_planned_after_a_program_that_may_write_there_is_a_mistake(guest: MemoryGuest) -> None:
    command = RunCommand(argv=("x",), done_when="/x", may_write=("/etc/",))
    with pytest.raises(UnknownAfter):
        plan_on(guest, fix_of(command), replacing("/etc/fstab", "a", "b"))


# applying exact changes


def test_apply_does_what_the_plan_says(guest: MemoryGuest) -> None:
    new = WriteFile(path="/etc/new.d/x", before=None, after=b"n", mode=0o600)
    link = MakeSymlink(path="/etc/new.d/l", before=None, target="x")
    found = plan_on(guest, replacing("/etc/fstab", "a", "z"), fix_of(REMOVE, new, link))
    applied = apply(found, guest, backup=False)
    assert applied == Applied(
        written=("/boot/device.map", "/etc/fstab", "/etc/new.d/l", "/etc/new.d/x"),
        by_programs=(),
        findings=(),
    )
    assert guest.snapshot() == {
        "/": Folder(),
        "/etc": Folder(),
        "/etc/fstab": File(content=b"z b c\n", mode=0o640, uid=3, gid=6),
        "/etc/link": Link(target="fstab"),
        "/etc/new.d": Folder(),
        "/etc/new.d/x": File(content=b"n", mode=0o600),
        "/etc/new.d/l": Link(target="x"),
        "/boot": Folder(),
        "/boot/grub": Folder(),
        "/boot/grub/grub.cfg": File(content=b"set"),
    }


def test_a_guest_that_changed_since_is_refused_before_anything_is_written(guest: MemoryGuest) -> None:
    found = plan_on(guest, replacing("/etc/fstab", "a", "z"), fix_of(REMOVE))
    guest.write_bytes("/boot/device.map", b"changed")
    before = guest.snapshot()
    with pytest.raises(StalePlan) as caught:
        apply(found, guest, backup=True)
    assert caught.value.path == "/boot/device.map"
    assert guest.snapshot() == before


@pytest.mark.parametrize("path", ["/etc/new", "/boot/device.map"])
def test_a_file_that_came_or_went_is_a_change_too(guest: MemoryGuest, path: str) -> None:
    found = plan_on(guest, fix_of(REMOVE, WriteFile(path="/etc/new", before=None, after=b"x")))
    if guest.exists(path):
        guest.remove(path)
    else:
        guest.write_bytes(path, b"x")
    with pytest.raises(StalePlan):
        apply(found, guest, backup=False)


def test_an_image_that_went_is_a_change_too() -> None:
    guest = debian()
    found = plan_on(guest, INITRAMFS_VIRTIO_FIX)
    guest.remove(image_path())
    before = guest.snapshot()
    with pytest.raises(StalePlan) as caught:
        apply(found, guest, backup=True)
    assert caught.value.path == image_path()
    assert guest.snapshot() == before


def journal(guest: MemoryGuest, plan_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(guest.read_text(f"/var/lib/vmdk2kvm/{plan_id}/journal.json"))
    return found


def test_the_backup_holds_every_file_as_it_was(guest: MemoryGuest) -> None:
    new = WriteFile(path="/etc/new", before=None, after=b"n")
    fixes = (replacing("/etc/fstab", "a", "b"), replacing("/etc/link", "b b", "z"), fix_of(REMOVE, new))
    found = plan_on(guest, *fixes)
    apply(found, guest, backup=True)
    folder = f"/var/lib/vmdk2kvm/{found.id}"
    assert guest.stat(folder).mode == 0o700
    assert guest.list_tree(folder) == (
        f"{folder}/backup/boot/device.map",
        f"{folder}/backup/etc/fstab",
        f"{folder}/journal.json",
    )
    assert guest.snapshot()[f"{folder}/backup/etc/fstab"] == File(
        content=b"a b c\n", mode=0o640, uid=3, gid=6
    )
    written = journal(guest, found.id)
    assert written["plan"] == found.id
    assert written["owed"] == []
    by_path = {entry["path"]: entry for entry in written["changes"]}
    assert sorted(by_path) == ["/boot/device.map", "/etc/fstab", "/etc/new"]
    fstab = by_path["/etc/fstab"]
    assert (fstab["kind"], fstab["mode"], fstab["uid"], fstab["gid"]) == ("write-file", "0640", 3, 6)
    assert fstab["before"] == hashlib.sha256(b"a b c\n").hexdigest()
    assert fstab["after"] == hashlib.sha256(b"z c\n").hexdigest()
    assert by_path["/boot/device.map"]["after"] is None
    assert by_path["/etc/new"]["before"] is None


def test_the_journal_stands_before_the_first_edit(guest: MemoryGuest) -> None:
    class Stopped(Exception):
        pass

    class Stopping(MemoryGuest):
        def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
            if path == "/etc/fstab":
                raise Stopped
            super().write_bytes(path, content, mode)

    stopping = Stopping({"/etc/fstab": b"a b c\n", image_path(): b"old"})
    found = plan_on(stopping, replacing("/etc/fstab", "a", "z"), fix_of(REBUILD))
    with pytest.raises(Stopped):
        apply(found, stopping, backup=True)
    assert journal(stopping, found.id)["owed"] == [image_path()]
    assert stopping.read_bytes(f"/var/lib/vmdk2kvm/{found.id}/backup/etc/fstab") == b"a b c\n"


# applying opaque changes


def scripted(status: int = 0, writes: tuple[str, ...] = ("/etc/done",)) -> MemoryGuest:
    def program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        for path in writes:
            guest.make_folder(path.rpartition("/")[0])
            guest.write_bytes(path, b"by a program")
        return CommandResult(status=status, output="line\n\x1b[31mred\n")

    return MemoryGuest({"/etc/fstab": b"a"}, programs=program)


def test_what_a_program_wrote_is_journalled_and_judged() -> None:
    guest = scripted(writes=("/etc/done", "/usr/x", "/srv/surprise"))
    found = plan_on(guest, fix_of(COMMAND))
    applied = apply(found, guest, backup=True)
    assert applied.written == applied.by_programs == ("/etc/done", "/srv/surprise", "/usr/x")
    assert [(each.id, each.level) for each in applied.findings] == [("write-outside-plan", Level.WARNING)]
    assert '"/srv/surprise"' in applied.findings[0].message
    assert journal(guest, found.id)["ran"] == [
        {"kind": "run-command", "what": "purge tools", "wrote": ["/etc/done", "/srv/surprise", "/usr/x"]}
    ]


@pytest.mark.parametrize("guest", [scripted(status=3), scripted(writes=())])
def test_a_program_that_did_not_do_its_work(guest: MemoryGuest) -> None:
    found = plan_on(guest, fix_of(COMMAND))
    with pytest.raises(GuestError, match='"purge"') as caught:
        apply(found, guest, backup=True)
    assert "\\x1b[31mred" in caught.value.hint
    assert journal(guest, found.id)["owed"] == ["purge tools"]


@pytest.mark.parametrize("backup", [True, False])
@pytest.mark.parametrize("move_away", [True, False])
def test_an_initramfs_is_rebuilt_and_proven(backup: bool, move_away: bool) -> None:
    guest = debian()
    old = guest.read_bytes(image_path())
    found = plan_on(guest, INITRAMFS_VIRTIO_FIX)
    moved = frozenset({image_path()} if move_away else set())
    applied = apply(found, guest, backup=backup, move_away=moved)
    assert guest.commands == [("update-initramfs", "-c" if move_away else "-u", "-k", VERSION)]
    assert applied.by_programs == (image_path(), f"/var/lib/initramfs-tools/{VERSION}")
    assert applied.findings == ()
    held = guest_os(guest).kernels[0].initramfs
    assert held is not None
    assert held.modules == ALL_MODULES
    kept = f"/var/lib/vmdk2kvm/{found.id}/backup{image_path()}"
    assert guest.exists(kept) == backup
    if backup:
        assert guest.read_bytes(kept) == old
        assert journal(guest, found.id)["owed"] == []
    else:
        assert [path for path in guest.list_tree("/var/lib") if "vmdk2kvm" in path] == []


def failing(held: bytes | None, status: int = 0) -> MemoryGuest:
    """A guest whose update-initramfs leaves `held` as the image, None for no image at all."""

    def program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        if guest.exists(image_path()):
            guest.remove(image_path())
        if held is not None:
            guest.write_bytes(image_path(), held)
        return CommandResult(status=status, output="first\ncannot find \x1b[1mroot\n")

    return copy_of(debian(), program)


def copy_of(guest: MemoryGuest, programs: Programs) -> MemoryGuest:
    nodes = {path: node for path, node in guest.snapshot().items() if path != "/"}
    return MemoryGuest(nodes, programs=programs)


@pytest.mark.parametrize(
    ("guest", "reason"),
    [
        (failing(None), "no image"),
        (failing(b"garbage"), "cannot be read"),
        (failing(debian().read_bytes(image_path())), "lacks virtio, virtio_blk"),
        (failing(debian(held=tuple(ALL_MODULES)).read_bytes(image_path()), status=1), "status 1"),
    ],
)
@pytest.mark.parametrize("backup", [True, False])
@pytest.mark.parametrize("move_away", [True, False])
def test_an_image_that_is_not_proven_gives_way_to_the_old_one(
    guest: MemoryGuest, reason: str, backup: bool, move_away: bool
) -> None:
    guest = copy_of(guest, guest.programs)
    old = guest.snapshot()[image_path()]
    found = plan_on(guest, INITRAMFS_VIRTIO_FIX)
    moved = frozenset({image_path()} if move_away else set())
    with pytest.raises(RebuildUnproven, match=reason) as caught:
        apply(found, guest, backup=backup, move_away=moved)
    assert caught.value.path == image_path()
    assert "cannot find \\x1b[1mroot" in caught.value.hint
    assert guest.snapshot()[image_path()] == old
    if backup:
        assert journal(guest, found.id)["owed"] == [image_path()]


@pytest.mark.parametrize("backup", [True, False])
def test_a_cancelled_rebuild_does_not_ask_the_dead_appliance(backup: bool) -> None:
    class Ended(MemoryGuest):
        def exists(self, path: str) -> bool:
            if self.commands:
                raise GuestError("the appliance is gone.", hint="none.")
            return super().exists(path)

    def cancelled(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        raise KeyboardInterrupt

    nodes = {path: node for path, node in debian().snapshot().items() if path != "/"}
    guest = Ended(nodes, programs=cancelled)
    with pytest.raises(KeyboardInterrupt):
        apply(plan_on(guest, INITRAMFS_VIRTIO_FIX), guest, backup=backup)


def test_without_backup_a_full_guest_is_told_as_that() -> None:
    class Full(MemoryGuest):
        def copy_within(self, source: str, target: str) -> None:
            raise GuestError("no room is left.", hint="make some.")

    nodes = {path: node for path, node in debian().snapshot().items() if path != "/"}
    guest = Full(nodes, programs=run_program)
    with pytest.raises(GuestError, match="no room is left"):
        apply(plan_on(guest, INITRAMFS_VIRTIO_FIX), guest, backup=False)


# converging


def converged(guest: MemoryGuest, *fixes: Fix) -> Applied:
    os = guest_os(guest)
    first = apply(plan(fixes, guest, os), guest, backup=False)

    def again(second: Plan, now: GuestOs) -> Applied:
        return apply(second, guest, backup=False)

    return converge(first, fixes, guest, lambda: inspected_again(guest, os), again)


def test_a_repaired_guest_needs_no_second_round() -> None:
    guest = debian()
    applied = converged(guest, INITRAMFS_VIRTIO_FIX)
    assert applied.findings == ()
    assert len(guest.commands) == 1


def test_what_a_program_undid_is_repaired_once_more_and_told() -> None:
    command = RunCommand(argv=("purge",), done_when="/etc/done", may_write=("/etc/",))

    def program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        guest.write_bytes("/etc/done", b"")
        guest.write_bytes("/etc/fstab", b"a again")
        return CommandResult(status=0, output="")

    def purge(guest: GuestReader, os: GuestOs) -> Planned:
        if not guest.exists("/etc/done"):
            yield command

    fixes = (
        replacing("/etc/fstab", "a", "z"),
        Fix(name="purge", reason="r", families=LINUX_FAMILIES, plan=purge),
    )
    guest = MemoryGuest({"/etc/fstab": b"a"}, programs=program)
    applied = converged(guest, *fixes)
    assert guest.read_bytes("/etc/fstab") == b"z zgzin"
    assert [(each.id, each.level) for each in applied.findings] == [("unplanned-change", Level.WARNING)]
    assert applied.written == ("/etc/done", "/etc/fstab")


def test_a_fix_that_is_never_content_does_not_converge(guest: MemoryGuest) -> None:
    def restless(reader: GuestReader, os: GuestOs) -> Iterator[Change]:
        text = reader.read_bytes("/etc/fstab")
        yield WriteFile(path="/etc/fstab", before=text, after=text + b"#")

    fix = Fix(name="restless", reason="r", families=LINUX_FAMILIES, plan=restless)
    with pytest.raises(DoesNotConverge) as caught:
        converged(guest, fix)
    assert caught.value.paths == ("/etc/fstab",)
    assert guest.read_bytes("/etc/fstab") == b"a b c\n#"


def test_two_rounds_are_all_there_is() -> None:
    def program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        guest.write_bytes("/etc/done", b"")
        return CommandResult(status=0, output="")

    def restless(reader: GuestReader, os: GuestOs) -> Planned:
        if reader.exists("/etc/done"):
            content = reader.read_bytes("/etc/done")
            yield WriteFile(path="/etc/done", before=content, after=content + b"#")
        else:
            yield RunCommand(argv=("x",), done_when="/etc/done", may_write=("/etc/",))

    guest = MemoryGuest({"/etc/fstab": b"a"}, programs=program)
    with pytest.raises(DoesNotConverge, match="two rounds"):
        converged(guest, Fix(name="restless", reason="r", families=LINUX_FAMILIES, plan=restless))
    assert guest.read_bytes("/etc/done") == b"#"
