from dataclasses import replace

import pytest

from tests.initramfs_images import image
from tests.linux_guests import (
    ALL_MODULES,
    VERSION,
    VMWARE_ONLY,
    debian,
    guest_os,
    image_path,
    inspected_again,
)
from vmdk2kvm.errors import NoRoomInGuest
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.room import images_to_move_away, mountpoint_of
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.changes import PlannedChange, Rebuild, RebuildKind, RemoveFile, WriteFile
from vmdk2kvm.model.guest_os import GuestOs, InitramfsTool, Kernel, Space
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.units import GIB, KIB, MIB
from vmdk2kvm.stages import fix

OLD = "5.10.0-9-amd64"


def run(guest: MemoryGuest, os: GuestOs, *, backup: bool = True) -> fix.Fixed:
    return fix.run(
        guest, os, [INITRAMFS_VIRTIO_FIX], inspect_again=lambda: inspected_again(guest, os), backup=backup
    )


def spaces(root: int, boot: int | None = None, inodes: int | None = 1000) -> tuple[Space, ...]:
    found = (Space(mountpoint="/", free_bytes=root, free_inodes=inodes),)
    return found if boot is None else (*found, Space(mountpoint="/boot", free_bytes=boot, free_inodes=inodes))


def test_a_guest_is_repaired() -> None:
    guest = debian()
    fixed = run(guest, guest_os(guest))
    assert [item.change.kind for item in fixed.plan.changes] == ["write-file", "rebuild"]
    assert fixed.written == (
        image_path(),
        "/etc/initramfs-tools/modules",
        f"/var/lib/initramfs-tools/{VERSION}",
    )
    assert fixed.findings == ()


def test_a_guest_with_nothing_to_repair_is_not_touched() -> None:
    guest = debian(held=tuple(ALL_MODULES))
    before = guest.snapshot()

    def inspect_again() -> GuestOs:
        raise AssertionError("nothing was written, so there is nothing to look at again")

    fixed = fix.run(guest, guest_os(guest), [INITRAMFS_VIRTIO_FIX], inspect_again=inspect_again, backup=True)
    assert (fixed.plan.changes, fixed.written) == ((), ())
    assert guest.snapshot() == before


def test_findings_of_the_plan_are_kept() -> None:
    guest = debian()
    fixed = run(guest, guest_os(guest, tool=None))
    assert [each.id for each in fixed.findings] == ["initramfs-lacks-virtio"]


def test_a_tight_boot_gives_the_old_image_up_first() -> None:
    guest = debian()
    fixed = run(guest, guest_os(guest, space=spaces(GIB, boot=17 * MIB)))
    assert guest.commands == [("update-initramfs", "-c", "-k", VERSION)]
    assert image_path() in fixed.written
    (kept,) = [path for path in guest.list_tree("/var/lib/vmdk2kvm") if "/backup/boot/" in path]
    assert guest.read_bytes(kept) == image(VMWARE_ONLY)


@pytest.mark.parametrize("backup", [True, False])
def test_no_room_is_said_before_anything_is_written(backup: bool) -> None:
    guest = debian()
    before = guest.snapshot()
    with pytest.raises(NoRoomInGuest) as caught:
        run(guest, guest_os(guest, space=spaces(GIB, boot=MIB)), backup=backup)
    assert caught.value.mountpoint == "/boot"
    assert "1 MiB free" in caught.value.message
    assert caught.value.needed_bytes > 16 * MIB
    assert guest.snapshot() == before
    assert guest.commands == []


# how room is counted

MODIFY = WriteFile(path="/etc/fstab", before=bytes(100 * KIB), after=bytes(120 * KIB))


def planned(*changes: WriteFile | RemoveFile | Rebuild) -> Plan:
    return plan_of([PlannedChange(fix="f", change=change) for change in changes], [])


def rebuild(version: str = VERSION, estimated_bytes: int = 40 * MIB) -> Rebuild:
    return Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=InitramfsTool.INITRAMFS_TOOLS,
        kernel=version,
        path=image_path(version),
        must_hold=frozenset(),
        estimated_bytes=estimated_bytes,
    )


def os_with(space: tuple[Space, ...], old_bytes: int = 30 * MIB) -> GuestOs:
    guest = MemoryGuest({image_path(version): image(VMWARE_ONLY) for version in (VERSION, OLD)})
    os = guest_os(guest, VERSION, OLD, space=space)
    return replace(os, kernels=tuple(_with_image_size(kernel, old_bytes) for kernel in os.kernels))


def _with_image_size(kernel: Kernel, size_bytes: int) -> Kernel:
    assert kernel.initramfs is not None
    return replace(kernel, initramfs=replace(kernel.initramfs, size_bytes=size_bytes))


@pytest.mark.parametrize(
    ("free_bytes", "backup", "fits"),
    [
        (MIB + 24 * KIB, False, True),
        (MIB + 24 * KIB - 1, False, False),
        (MIB + 192 * KIB, True, True),
        (MIB + 192 * KIB - 1, True, False),
    ],
)
def test_edits_and_backups_are_counted(free_bytes: int, backup: bool, fits: bool) -> None:
    os = os_with(spaces(free_bytes))
    if fits:
        assert images_to_move_away(planned(MODIFY), os, backup=backup) == frozenset()
        return
    with pytest.raises(NoRoomInGuest) as caught:
        images_to_move_away(planned(MODIFY), os, backup=backup)
    assert caught.value.mountpoint == "/"
    assert caught.value.needed_bytes == free_bytes + 1


def test_a_file_system_that_was_not_measured_is_not_judged() -> None:
    assert images_to_move_away(planned(MODIFY, rebuild()), os_with(()), backup=True) == frozenset()


@pytest.mark.parametrize(
    ("root", "boot", "backup", "moved"),
    [
        (100 * MIB, 41 * MIB, True, False),  # both images side by side
        (100 * MIB, 41 * MIB - 1, True, True),
        (100 * MIB, 11 * MIB, True, True),  # the new one where the old one was
        (100 * MIB, 11 * MIB - 1, True, None),
        (31 * MIB + 64 * KIB, 41 * MIB, True, False),
        (31 * MIB + 64 * KIB - 1, 41 * MIB, True, None),  # no place for the old one
        (31 * MIB, 41 * MIB, False, False),
        (31 * MIB - 1, 41 * MIB, False, None),
        (31 * MIB + 64 * KIB + 40 * MIB, None, True, False),  # all on one file system
        (31 * MIB + 64 * KIB + 40 * MIB - 1, None, True, True),
        (31 * MIB + 64 * KIB + 10 * MIB, None, True, True),
        (31 * MIB + 64 * KIB + 10 * MIB - 1, None, True, None),
    ],
)
def test_old_and_new_image(root: int, boot: int | None, backup: bool, moved: bool | None) -> None:
    os = os_with(spaces(root, boot))
    if moved is None:
        with pytest.raises(NoRoomInGuest):
            images_to_move_away(planned(rebuild()), os, backup=backup)
        return
    expected = {image_path()} if moved else set()
    assert images_to_move_away(planned(rebuild()), os, backup=backup) == expected


def test_the_second_image_has_what_the_first_one_left() -> None:
    plan = planned(rebuild(), rebuild(OLD))
    roomy = os_with(spaces(100 * MIB, 51 * MIB))
    assert images_to_move_away(plan, roomy, backup=True) == frozenset()
    assert images_to_move_away(plan, os_with(spaces(100 * MIB, 50 * MIB)), backup=True) == {image_path(OLD)}
    with pytest.raises(NoRoomInGuest):
        images_to_move_away(plan, os_with(spaces(60 * MIB, GIB)), backup=True)
    assert images_to_move_away(plan, os_with(spaces(60 * MIB, GIB)), backup=False) == frozenset()


def test_inodes_are_counted() -> None:
    remove = RemoveFile(path="/boot/device.map", before=b"x")
    enough = os_with(spaces(GIB, GIB, inodes=7))
    assert (
        images_to_move_away(planned(MODIFY, remove), os_with(spaces(GIB, GIB, None)), backup=True)
        == frozenset()
    )
    assert images_to_move_away(planned(MODIFY), enough, backup=True) == frozenset()
    with pytest.raises(NoRoomInGuest, match="7 free inodes") as caught:
        images_to_move_away(planned(MODIFY, remove), enough, backup=True)
    assert caught.value.mountpoint == "/"


@pytest.mark.parametrize(("inodes", "fits"), [(6, True), (5, False)])
def test_inodes_of_a_rebuild_are_counted(inodes: int, fits: bool) -> None:
    plan = planned(rebuild(OLD, MIB))
    os = os_with(spaces(GIB, GIB, inodes=inodes))
    if fits:
        images_to_move_away(plan, os, backup=True)
    else:
        with pytest.raises(NoRoomInGuest, match="needs 6"):
            images_to_move_away(plan, os, backup=True)


@pytest.mark.parametrize(
    ("path", "mountpoint"),
    [
        ("/etc/fstab", "/"),
        ("/boot/initrd.img", "/boot"),
        ("/boot", "/boot"),
        ("/bootstrap/x", "/"),
        ("/boot/efi/EFI/x", "/boot/efi"),
    ],
)
def test_the_deepest_mount_point_holds_a_path(path: str, mountpoint: str) -> None:
    assert mountpoint_of(path, ["/", "/boot", "/boot/efi"]) == mountpoint
