"""An initramfs that no tool can rebuild: planned, appended, proven, and taken back."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.appendix_guests import FOLDER, MARKS, MODULES, built_by, guest_with, module_content
from tests.initramfs_images import cpio
from tests.linux_guests import CRITICAL, VERSION, VMWARE_ONLY, guest_os, image_path, inspected_again
from vmdk2kvm.errors import NoRoomInGuest, RebuildUnproven, StalePlan
from vmdk2kvm.fixes import appendix
from vmdk2kvm.fixes.engine import Applied, apply, converge, plan
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.pending import PendingGuest, UnknownAfter
from vmdk2kvm.fixes.room import images_to_move_away
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.formats import plan_json
from vmdk2kvm.formats.initramfs import InitramfsContents, scan
from vmdk2kvm.formats.initramfs_appendix import NoAppendix
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.guest.protocol import CommandResult
from vmdk2kvm.model.changes import AppendInitramfs
from vmdk2kvm.model.guest_os import InitramfsTool, Space
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Level
from vmdk2kvm.model.units import MIB

OLD = built_by(InitramfsTool.INITRAMFS_TOOLS)
every_builder = pytest.mark.parametrize("tool", MARKS)


def planned(guest: MemoryGuest, tool: InitramfsTool | None = None) -> Plan:
    return plan([INITRAMFS_VIRTIO_FIX], guest, guest_os(guest, tool=tool))


def opened(guest: MemoryGuest) -> InitramfsContents:
    with guest.open(image_path()) as stream:
        return scan(stream, indexes=True)


def build(guest: MemoryGuest) -> appendix.Appendix:
    return appendix.build(guest, path=image_path(), kernel=VERSION, must_hold=CRITICAL)


def failing(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    """A tool that spoils the image before it gives up."""
    guest.write_bytes(image_path(), b"half an ima")
    return CommandResult(status=1, output="first\ndracut: no room\x1b[1m left\n")


# without a tool


@every_builder
def test_the_drivers_come_behind_the_image(tool: InitramfsTool) -> None:
    old = built_by(tool)
    guest = guest_with(old)
    found = planned(guest)
    (item,) = found.changes
    assert isinstance(item.change, AppendInitramfs)
    assert item.change.must_hold == CRITICAL
    assert found.findings == ()

    applied = apply(found, guest, backup=False)
    assert guest.read_bytes(image_path()).startswith(old)
    assert opened(guest).modules == CRITICAL | frozenset(VMWARE_ONLY)
    assert applied.written == (image_path(),)
    assert applied.by_programs == ()
    assert [(each.id, each.level) for each in applied.findings] == [("initramfs-appended", Level.WARNING)]
    assert guest.list_tree("/var") == ()
    assert planned(guest) == plan_json.plan_of((), ())


def test_what_is_in_the_archive() -> None:
    change = build(guest_with(OLD)).change
    names = [name for name, _ in change.files]
    added = sorted(CRITICAL - frozenset(VMWARE_ONLY))
    assert names == [
        *(f"{FOLDER}/vmdk2kvm/{name}.ko" for name in added),
        *(f"{FOLDER}/modules.{name}" for name in ("dep", "dep.bin", "alias", "alias.bin")),
        "conf/modules",
    ]


def test_a_compressed_module_is_unpacked() -> None:
    content = build(guest_with(OLD)).content
    assert module_content("virtio_blk") in content
    assert module_content("virtio_scsi") in content


def test_the_same_guest_gives_the_same_plan() -> None:
    one, two = planned(guest_with(OLD)), planned(guest_with(OLD))
    assert one == two
    assert plan_json.parse(plan_json.render(one)) == one


def test_old_and_new_lines_are_loaded() -> None:
    guest = guest_with(OLD)
    apply(planned(guest), guest, backup=False)
    lines = opened(guest).files["conf/modules"].decode().split()
    assert lines == ["vmw_pvscsi", *sorted(CRITICAL)]


@pytest.mark.parametrize(
    ("old", "files", "reason"),
    [
        (built_by(None), {}, "nothing is known"),
        (cpio({"conf/initramfs.conf": b""}), {}, "0 folders"),
        (built_by(InitramfsTool.DRACUT, compression="lzma"), {}, "lzma"),
        (OLD, {f"{MODULES}/modules.alias": None}, "modules.alias"),
        (OLD, {f"{MODULES}/kernel/drivers/scsi/virtio_scsi.ko": None}, "virtio_scsi.ko"),
        (OLD, {f"{MODULES}/kernel/drivers/scsi/virtio_scsi.ko": b"\x1f\x8bdamaged"}, "gzip stream"),
        (OLD, {f"{MODULES}/kernel/drivers/scsi/virtio_scsi.ko": bytes(17 * MIB)}, "larger than 16 MiB"),
    ],
)
def test_what_cannot_be_appended_is_told(old: bytes, files: dict[str, bytes | None], reason: str) -> None:
    guest = guest_with(old, {path: content for path, content in files.items() if content is not None})
    for path, content in files.items():
        if content is None:
            guest.remove(path)
    found = planned(guest)
    assert found.changes == ()
    assert [(each.id, each.level) for each in found.findings] == [("initramfs-lacks-virtio", Level.ERROR)]
    assert reason in found.findings[0].message


def test_stale_names_that_stay_are_told() -> None:
    guest = guest_with(
        built_by(InitramfsTool.INITRAMFS_TOOLS, more={"conf/conf.d/resume": b"RESUME=/dev/sda5\n"})
    )
    found = planned(guest)
    assert [item.change.kind for item in found.changes] == ["append-initramfs"]
    assert [(each.id, each.level) for each in found.findings] == [("initramfs-stale-names", Level.WARNING)]
    apply(found, guest, backup=False)
    again = planned(guest)
    assert (again.changes, again.findings) == ((), found.findings)


# stale plans and failures


@pytest.mark.parametrize(
    "path", [image_path(), f"{MODULES}/modules.alias", f"{MODULES}/kernel/drivers/scsi/virtio_scsi.ko"]
)
def test_a_guest_that_changed_is_not_written_to(path: str) -> None:
    guest = guest_with(OLD)
    found = planned(guest)
    content = guest.read_bytes(path)
    guest.write_bytes(path, content + (b"alias x virtio_blk\n" if path.endswith("alias") else bytes(8)))
    before = guest.snapshot()
    with pytest.raises(StalePlan) as caught:
        apply(found, guest, backup=False)
    assert caught.value.path == image_path()
    assert guest.snapshot() == before


@pytest.mark.parametrize("backup", [True, False])
def test_an_image_that_is_not_proven_gives_way_to_the_old_one(backup: bool) -> None:
    class Lossy(MemoryGuest):
        def append_bytes(self, path: str, content: bytes) -> None:
            super().append_bytes(path, content[: len(content) // 2])

    nodes = {path: node for path, node in guest_with(OLD).snapshot().items() if path != "/"}
    guest = Lossy(nodes)
    with pytest.raises(RebuildUnproven, match="could not be added to: the new image cannot be read"):
        apply(planned(guest), guest, backup=backup)
    assert guest.read_bytes(image_path()) == OLD


def test_an_image_with_more_than_was_planned_gives_way() -> None:
    class Adding(MemoryGuest):
        def append_bytes(self, path: str, content: bytes) -> None:
            super().append_bytes(path, content + bytes(4))

    nodes = {path: node for path, node in guest_with(OLD).snapshot().items() if path != "/"}
    guest = Adding(nodes)
    with pytest.raises(RebuildUnproven, match="not what was written"):
        apply(planned(guest), guest, backup=False)
    assert guest.read_bytes(image_path()) == OLD


# a tool that fails


def converged(guest: MemoryGuest, *, backup: bool) -> Applied:
    os = guest_os(guest)
    fixes = (INITRAMFS_VIRTIO_FIX,)
    first = apply(plan(fixes, guest, os), guest, backup=backup)

    def again(second: Plan, now: object) -> Applied:
        return apply(second, guest, backup=backup)

    return converge(first, fixes, guest, lambda: inspected_again(guest, os), again)


@pytest.mark.parametrize("backup", [True, False])
def test_a_rebuild_that_fails_falls_back_to_appending(backup: bool) -> None:
    guest = guest_with(OLD, programs=failing)
    applied = converged(guest, backup=backup)
    assert guest.read_bytes(image_path()).startswith(OLD)
    assert opened(guest).modules >= CRITICAL
    (finding,) = applied.findings
    assert (finding.id, finding.level) == ("initramfs-appended", Level.WARNING)
    assert "first / dracut: no room\\x1b[1m left" in finding.message
    assert image_path() in applied.by_programs
    assert "virtio_blk" in guest.read_text("/etc/initramfs-tools/modules")
    if backup:
        (journal,) = guest.glob("/var/lib/vmdk2kvm/*/journal.json")
        assert json.loads(guest.read_bytes(journal))["owed"] == []


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (built_by(None), "nor can its drivers be appended to the old image: nothing is known"),
        (
            built_by(InitramfsTool.INITRAMFS_TOOLS, more={"conf/conf.d/resume": b"RESUME=/dev/sda5\n"}),
            "said: first / dracut",
        ),
    ],
)
def test_where_that_cannot_help_the_tools_last_lines_are_told(old: bytes, reason: str) -> None:
    guest = guest_with(old, programs=failing)
    with pytest.raises(RebuildUnproven, match="status 1") as caught:
        converged(guest, backup=False)
    assert "dracut: no room\\x1b[1m left" in caught.value.hint
    assert reason in caught.value.hint
    assert guest.read_bytes(image_path()) == old


# backup, room, and the view of what is planned


@pytest.mark.parametrize("programs", [None, failing])
def test_an_appended_image_is_taken_back(programs: Callable[..., CommandResult] | None) -> None:
    guest = guest_with(OLD, programs=programs or failing)
    before = guest.snapshot()
    apply(planned(guest, InitramfsTool.INITRAMFS_TOOLS if programs else None), guest, backup=True)
    assert guest.read_bytes(image_path()) != OLD
    done = undo(guest)
    assert image_path() in done.restored
    after = guest.snapshot()
    assert {path: node for path, node in after.items() if path != "/etc/initramfs-tools"} == before


def test_room_is_checked_before_anything_is_written() -> None:
    guest = guest_with(OLD)
    found = planned(guest)
    (item,) = found.changes
    assert isinstance(item.change, AppendInitramfs)
    more = item.change.after_bytes - item.change.before_bytes

    def fits(root: int, boot: int, *, backup: bool) -> bool:
        spaces = (
            Space(mountpoint="/", free_bytes=root, free_inodes=100),
            Space(mountpoint="/boot", free_bytes=boot, free_inodes=100),
        )
        os = replace(guest_os(guest, tool=None), space=spaces)
        try:
            return images_to_move_away(found, os, backup=backup) == frozenset()
        except NoRoomInGuest:
            return False

    boot = more + 4096 + MIB
    assert fits(10 * MIB, boot, backup=True)
    assert not fits(10 * MIB, boot - 1, backup=True)
    assert fits(len(OLD) + MIB, boot, backup=False)
    assert not fits(len(OLD) + MIB - 1, boot, backup=False)
    assert not fits(len(OLD) + MIB, boot, backup=True)


def test_a_planned_image_is_not_read_again() -> None:
    guest = guest_with(OLD)
    (item,) = planned(guest).changes
    pending = PendingGuest(guest)
    pending.add(item.change)
    with pytest.raises(UnknownAfter):
        pending.read_bytes(image_path())


def test_nothing_to_add_is_no_appendix() -> None:
    guest = guest_with(built_by(InitramfsTool.DRACUT, held=tuple(sorted(CRITICAL))))
    with pytest.raises(NoAppendix, match="lacks no driver"):
        build(guest)
