"""Mounting a guest as its own fstab says, names of the source machine resolved first."""

import posixpath
from collections.abc import Iterator

from vmdk2kvm.errors import GuestError, GuestRefused
from vmdk2kvm.formats import fstab
from vmdk2kvm.formats.fstab import Entry
from vmdk2kvm.guest.inspection_names import SourceNames
from vmdk2kvm.guest.inspection_roots import Root, option, without_pseudo_spec
from vmdk2kvm.guest.paths import MAX_LENGTH
from vmdk2kvm.guest.protocol import BlockDevice, GuestSession
from vmdk2kvm.model.guest_os import Mount

MOUNTABLE_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs", "jfs", "reiserfs"})
ESP_TYPES = frozenset({"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"})
XBOOTLDR_TYPE = "bc13c2ff-59e6-4262-a352-b275fd6f7172"  # the extended boot loader partition of UAPI.1
_ESP_FOLDERS = ("/boot/efi", "/efi")
_BOOT = "/boot"
_MAY_FAIL = frozenset({"nofail", "noauto"})
_MAX_ENTRIES = 256
_MENDED_BY = {
    "ext2": "e2fsck -f",
    "ext3": "e2fsck -f",
    "ext4": "e2fsck -f",
    "xfs": "xfs_repair",
    "btrfs": "btrfs check",
    "vfat": "fsck.vfat",
}


def mount_root(session: GuestSession, root: Root, devices: tuple[BlockDevice, ...]) -> Mount:
    """Raises GuestRefused."""
    found = next(device for device in devices if device.device == root.device)
    return _mount(session, found, "/", root.options)


def mount_rest(session: GuestSession, names: SourceNames, root: Root) -> Iterator[Mount]:
    """Mount what /etc/fstab names below the mounted root, parents first, and the ESP.

    A name that resolves to nothing is passed over, as is a folder that is not there.
    Raises GuestRefused for a file system that the guest needs and that cannot be mounted.
    """
    taken = {"/"}
    used: set[str] = set()
    for mountpoint, entry in _entries(root.fstab or ""):
        spec, subvolume = without_pseudo_spec(entry)
        device = names.find(spec)
        if device is None or device.content not in MOUNTABLE_TYPES or mountpoint in taken:
            continue
        mounted = _try_mount(session, device, mountpoint, entry, subvolume)
        if mounted is not None:
            taken.add(mountpoint)
            used.add(device.device)
            yield mounted
    for mounted in _mount_boot_partitions(session, names.devices, taken, used):
        taken.add(mounted.mountpoint)
        yield mounted


def _entries(text: str) -> list[tuple[str, Entry]]:
    """Entries below the root by normalised mount point, parents first."""
    local = [
        (posixpath.normpath(entry.mountpoint), entry)
        for entry in fstab.entries(text)
        if entry.mountpoint.startswith("/") and len(entry.mountpoint) <= MAX_LENGTH and not _is_bind(entry)
    ]
    return sorted(local[:_MAX_ENTRIES], key=lambda item: item[0].count("/") if item[0] != "/" else 0)


def _is_bind(entry: Entry) -> bool:
    return not {"bind", "rbind"}.isdisjoint(fstab.split_options(entry.options or ""))


def _try_mount(
    session: GuestSession, device: BlockDevice, mountpoint: str, entry: Entry, subvolume: str | None
) -> Mount | None:
    try:
        return _mount(session, device, mountpoint, _subvolume_options(device, entry, subvolume))
    except FileNotFoundError:
        return None
    except GuestRefused:
        if _MAY_FAIL.isdisjoint(fstab.split_options(entry.options or "")):
            raise
        return None


def _subvolume_options(device: BlockDevice, entry: Entry, subvolume: str | None) -> tuple[str, ...]:
    if device.content != "btrfs":
        return ()
    if subvolume is not None:
        return (f"subvol=/{subvolume}",)
    chosen = ((name, option(entry, name)) for name in ("subvol", "subvolid"))
    return next(((f"{name}={value}",) for name, value in chosen if value), ())


def _mount(session: GuestSession, device: BlockDevice, mountpoint: str, options: tuple[str, ...]) -> Mount:
    try:
        session.mount(device.device, mountpoint, options=options)
    except GuestError as error:
        raise GuestRefused(error.message, hint=_mending(device) or error.hint) from error
    return Mount(device=device.device, mountpoint=mountpoint, type=device.content or "", options=options)


def _mending(device: BlockDevice) -> str | None:
    """What mends a file system of that type."""
    program = _MENDED_BY.get(device.content or "")
    if program is None:
        return None
    return f"run `{program} {device.device}` on the source machine, shut it down cleanly, then run again."


def _mount_boot_partitions(
    session: GuestSession, devices: tuple[BlockDevice, ...], taken: set[str], used: set[str]
) -> Iterator[Mount]:
    """systemd mounts those that no fstab names (systemd-gpt-auto-generator(8))."""
    extended = [
        each for each in devices if each.part_type == XBOOTLDR_TYPE and each.content in MOUNTABLE_TYPES
    ]
    if len(extended) == 1 and extended[0].device not in used and _is_free(session, taken):
        yield _mount(session, extended[0], _BOOT, ())
    esps = [device for device in devices if device.part_type in ESP_TYPES and device.content == "vfat"]
    if not esps or any(device.device in used for device in esps):
        return
    folder = next((each for each in _ESP_FOLDERS if each not in taken and session.exists(each)), None)
    if folder is None and _is_free(session, taken):
        folder = _BOOT
    if folder is not None:
        yield _mount(session, esps[0], folder, ())


def _is_free(session: GuestSession, taken: set[str]) -> bool:
    """Whether /boot waits for a file system: systemd mounts over no file."""
    return _BOOT not in taken and session.exists(_BOOT) and not session.glob(f"{_BOOT}/*")
