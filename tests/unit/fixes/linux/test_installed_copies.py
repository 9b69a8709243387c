"""The initramfs that kernel-install copied to the ESP: systemd-boot starts that one, not the one in /boot."""

from contextlib import suppress
from dataclasses import replace

from tests.initramfs_images import image
from tests.linux_guests import CRITICAL, VERSION, VMWARE_ONLY, debian, guest_os, image_path, run_program
from vmdk2kvm.errors import RebuildUnproven
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.rebuild import ENVIRONMENT, recipe
from vmdk2kvm.formats.plan_json import parse, render
from vmdk2kvm.guest.inspection_kernels import read_kernels
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.guest.protocol import CommandResult
from vmdk2kvm.model.changes import Rebuild
from vmdk2kvm.model.guest_os import GuestOs

FOLDER = f"/boot/efi/4f1e8d0c2b3a/{VERSION}"
COPY = f"{FOLDER}/initrd.img-{VERSION}"


def run(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    if argv[0] == "cp":
        guest.copy_within(argv[1], argv[2])
        return CommandResult(status=0, output="")
    return run_program(guest, argv, env)


def systemd_boot(
    *, held: tuple[str, ...] = VMWARE_ONLY, copied: tuple[str, ...] = VMWARE_ONLY
) -> MemoryGuest:
    files = {f"/boot/vmlinuz-{VERSION}": b"MZ", f"{FOLDER}/linux": b"MZ", COPY: image(copied)}
    guest = debian(files, held=held)
    guest.programs = run
    return guest


def inspected(guest: MemoryGuest) -> GuestOs:
    return replace(guest_os(guest), kernels=read_kernels(guest, {}, ("/boot/efi",)))


def test_both_images_of_a_kernel_are_found_the_original_first() -> None:
    kernels = read_kernels(systemd_boot(), {}, ("/boot/efi",))
    assert [(each.version, each.initramfs and each.initramfs.path) for each in kernels] == [
        (VERSION, image_path()),
        (VERSION, COPY),
    ]


def test_a_partition_at_boot_is_looked_at_once() -> None:
    guest = debian({f"/boot/4f1e/{VERSION}/linux": b"MZ", f"/boot/4f1e/{VERSION}/initrd": image(VMWARE_ONLY)})
    (found,) = read_kernels(guest, {}, ("/boot",))
    assert found.initramfs and found.initramfs.path == f"/boot/4f1e/{VERSION}/initrd"


SHA = "5f3c9d0e1b2a"


def tumbleweed(entry: str) -> MemoryGuest:
    """Kernels under names of their content, as openSUSE's sdbootutil puts them on the ESP."""
    files = {
        f"/boot/efi/opensuse-tumbleweed/{VERSION}/linux-{SHA}": b"MZ",
        f"/boot/efi/opensuse-tumbleweed/{VERSION}/initrd-{SHA}": image(VMWARE_ONLY),
        "/boot/efi/ucode.img": b"x",
        "/boot/efi/loader/entries/a.conf": entry,
    }
    return MemoryGuest(files | {f"/lib/modules/{VERSION}/modules.dep": ""})


def test_entries_say_which_initramfs_a_kernel_has() -> None:
    folder = f"/opensuse-tumbleweed/{VERSION}"
    entry = (
        f"version {VERSION}\nlinux {folder}/linux-{SHA}\ninitrd /ucode.img\ninitrd {folder}/initrd-{SHA}\n"
    )
    for text in (entry, entry.replace(f"version {VERSION}\n", "").replace("/", "\\")):
        found = read_kernels(tumbleweed(text), {}, ("/boot/efi",))
        paths = [each.initramfs and each.initramfs.path for each in found]
        assert paths == ([f"/boot/efi{folder}/initrd-{SHA}"] if "version" in text else [])


def test_entries_of_rescue_kernels_and_of_nothing() -> None:
    for text in (f"version {VERSION}\nlinux /gone\n", f"version {VERSION}\nlinux /0-rescue/linux\n", ""):
        guest = tumbleweed(text)
        guest.make_folder("/boot/efi/0-rescue")
        guest.write_bytes("/boot/efi/0-rescue/linux", b"MZ")
        assert read_kernels(guest, {}, ("/boot/efi",)) == ()


def test_an_entry_for_a_kernel_in_boot_is_no_copy() -> None:
    entry = f"version {VERSION}\nlinux /vmlinuz-{VERSION}\ninitrd /initrd.img-{VERSION}\n"
    files = {
        f"/boot/vmlinuz-{VERSION}": b"MZ",
        "/boot/loader/entries/a.conf": entry,
        "/boot/loader/entries/b.conf": entry.replace("/vmlinuz", "/boot/vmlinuz"),
    }
    assert len(read_kernels(debian(files), {}, ("/boot",))) == 1


def test_the_copy_follows_its_original() -> None:
    guest = systemd_boot()
    os = inspected(guest)
    plan = engine.plan([INITRAMFS_VIRTIO_FIX], guest, os)
    rebuilds = [item.change for item in plan.changes if isinstance(item.change, Rebuild)]
    assert [(each.path, each.copy_of) for each in rebuilds] == [(image_path(), None), (COPY, image_path())]
    assert recipe(rebuilds[1]).argv == ("cp", image_path(), COPY)
    assert parse(render(plan)) == plan

    applied = engine.apply(plan, guest, backup=True)
    assert applied.findings == ()
    assert guest.read_bytes(COPY) == guest.read_bytes(image_path())
    assert all(each.initramfs and each.initramfs.modules >= CRITICAL for each in inspected(guest).kernels)
    assert engine.plan([INITRAMFS_VIRTIO_FIX], guest, inspected(guest)).changes == ()


def test_a_stale_copy_of_a_right_image_is_copied_anew() -> None:
    guest = systemd_boot(held=tuple(sorted(CRITICAL)))
    plan = engine.plan([INITRAMFS_VIRTIO_FIX], guest, inspected(guest))
    assert [
        getattr(item.change, "path", "") for item in plan.changes if isinstance(item.change, Rebuild)
    ] == [COPY]
    engine.apply(plan, guest, backup=False)
    assert guest.read_bytes(COPY) == guest.read_bytes(image_path())


def test_a_copy_that_failed_is_put_back() -> None:
    guest = systemd_boot(held=tuple(sorted(CRITICAL)))
    plan = engine.plan([INITRAMFS_VIRTIO_FIX], guest, inspected(guest))
    guest.programs = lambda guest, argv, env: CommandResult(status=1, output="no room\n")
    before = guest.read_bytes(COPY)
    with suppress(RebuildUnproven):  # else the drivers were appended to what was there
        engine.apply(plan, guest, backup=False)
    assert guest.read_bytes(COPY).startswith(before)


def test_the_tools_hooks_write_no_boot_entries() -> None:
    assert ENVIRONMENT["KERNEL_INSTALL_BYPASS"] == "1"
