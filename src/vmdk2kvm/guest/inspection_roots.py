"""Where a guest's root file system is, found by looking, not by trusting names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError, GuestRefused, NoOperatingSystem
from vmdk2kvm.formats import fstab
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.fstab import Entry
from vmdk2kvm.formats.mdadm_conf import Array
from vmdk2kvm.guest.inspection_crypt import Named, called, read_names, refusal
from vmdk2kvm.guest.inspection_names import SourceNames, names_in
from vmdk2kvm.guest.inspection_raid import read_arrays, with_configured_names
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind, GuestReader, GuestSession
from vmdk2kvm.guest.small_text import FSTAB_LIMIT_BYTES, read_small
from vmdk2kvm.guest.unlock import volumes

ROOT_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs"})
_RELEASE_FILES = frozenset(
    {
        "os-release",
        "debian_version",
        "redhat-release",
        "SuSE-release",
        "alpine-release",
        "arch-release",
        "gentoo-release",
    }
)
_SYSTEM_FOLDERS = frozenset({"bin", "lib", "sbin", "usr"})
_MAX_SUBVOLUMES = 256
_TOP_LEVEL = ("subvolid=5",)
_WITHOUT_GUEST = "--stages fetch --stages flatten --stages convert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A file system that looks like a root. `subvolume` is btrfs' ("" the top level), else None."""

    device: str
    subvolume: str | None = None
    is_default: bool = True  # what is mounted without `subvol=`
    fstab: str | None = None
    crypt_names: tuple[Named, ...] = ()
    arrays: tuple[Array, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.device} (subvolume {self.subvolume})" if self.subvolume else self.device

    @property
    def options(self) -> tuple[str, ...]:
        return () if self.subvolume is None else (f"subvol=/{self.subvolume}",)


def find_root(session: GuestSession, devices: Sequence[BlockDevice]) -> Root:
    """The one root of the guest; nothing is mounted afterwards.

    Raises NoOperatingSystem, and GuestRefused where several could be it.
    """
    roots: list[Root] = []
    broken: list[GuestError] = []
    has_open_volumes = any(device.luks_uuid for device in devices)
    for device in devices:
        if device.content in ROOT_TYPES:
            try:
                roots += _roots_on(session, device, names=has_open_volumes)
            except GuestError as error:
                broken.append(error)
            session.unmount_all()
    if not roots:
        raise _no_system(session, devices, broken)
    return _choose(roots, devices)


def _roots_on(session: GuestSession, device: BlockDevice, *, names: bool) -> list[Root]:
    """`names`: with what each system calls its encrypted volumes."""
    if device.content != "btrfs":
        session.mount(device.device, "/", read_only=True)
        found = Root(
            device=device.device,
            fstab=_fstab(session, ""),
            crypt_names=read_names(session, ""),
            arrays=read_arrays(session, ""),
        )
        return [found] if _looks_like_root(session, "") else []
    session.mount(device.device, "/", options=_TOP_LEVEL, read_only=True)
    subvolumes = session.subvolumes()
    folders = {"": ""} | {path: f"/{path}" for path in subvolumes.paths[:_MAX_SUBVOLUMES]}
    return [
        Root(
            device=device.device,
            subvolume=path,
            is_default=path == subvolumes.default,
            fstab=_fstab(session, folder),
            crypt_names=read_names(session, folder) if names else (),
            arrays=read_arrays(session, folder),
        )
        for path, folder in folders.items()
        if _looks_like_root(session, folder)
    ]


def _looks_like_root(guest: GuestReader, folder: str) -> bool:
    """Links are not followed: they may lead to a file system that is not mounted yet."""
    if not any(path.rpartition("/")[2] in _SYSTEM_FOLDERS for path in guest.glob(f"{folder}/*")):
        return False
    names = {path.rpartition("/")[2] for path in guest.glob(f"{folder}/etc/*")}
    return bool(names & _RELEASE_FILES) or {"fstab", "passwd"} <= names


def _fstab(guest: GuestReader, folder: str) -> str | None:
    return read_small(guest, f"{folder}/etc/fstab", FSTAB_LIMIT_BYTES)


def _choose(roots: list[Root], devices: Sequence[BlockDevice]) -> Root:
    """The root whose own fstab says it is one; a single other one; else nobody knows."""
    avowed = [root for root in roots if _says_so(root, devices)]
    default = [root for root in roots if root.is_default]
    for choice in (avowed, roots, [] if avowed else default):
        if len(choice) == 1:
            return choice[0]
    names = ", ".join(f'"{visible(root.name)}"' for root in (avowed or roots)[:8])
    raise GuestRefused(
        f"several file systems could be the guest's root: {names}.",
        hint="migrate each system on its own, with only its own disks.",
    )


def _says_so(root: Root, devices: Sequence[BlockDevice]) -> bool:
    text = root.fstab or ""
    entry = next((entry for entry in fstab.entries(text) if entry.mountpoint == "/"), None)
    if entry is None:
        return False
    spec, subvolume = without_pseudo_spec(entry)
    named = with_configured_names(devices, root.arrays)
    found = SourceNames(named, names_in(text)).find(spec)
    is_volume = (root.device, spec) in called(root.crypt_names, devices)
    if not is_volume and (found is None or found.device != root.device):
        return False
    return _names_subvolume(root, subvolume, entry)


def _names_subvolume(root: Root, subvolume: str | None, entry: Entry) -> bool:
    if root.subvolume is None:
        return True
    wanted = subvolume if subvolume is not None else option(entry, "subvol")
    if wanted is None:
        return root.is_default
    return wanted.strip("/") == root.subvolume


def option(entry: Entry, name: str) -> str | None:
    """The value of `name=…` among an entry's options."""
    pairs = (each.partition("=") for each in fstab.split_options(entry.options or ""))
    return next((value for key, equals, value in pairs if key == name and equals), None)


def without_pseudo_spec(entry: Entry) -> tuple[str, str | None]:
    """`btrfsvol:/dev/sda2/@home`, as libguestfs writes it, is device and subvolume."""
    if not entry.spec.startswith("btrfsvol:"):
        return entry.spec, None
    spec = entry.spec.removeprefix("btrfsvol:")
    count = 5 if spec.startswith("/dev/disk/") else 4 if spec.startswith("/dev/mapper/") else 3
    parts = spec.split("/")
    return "/".join(parts[:count]), "/".join(parts[count:])


def _no_system(session: GuestSession, devices: Sequence[BlockDevice], broken: list[GuestError]) -> GuestError:
    locked = [volume for volume in volumes(session, devices) if volume.mapping is None]
    if locked:
        return refusal("no other root file system was found", locked)
    if broken:
        return GuestRefused(
            f"no operating system was found, and a file system cannot be read: {broken[0].message}",
            hint=broken[0].hint,
        )
    return NoOperatingSystem(
        f"no operating system was found on {', '.join(_disks(devices)) or 'the disks'}.",
        hint=f"to move disks that hold only data: {_WITHOUT_GUEST}.",
    )


def _disks(devices: Sequence[BlockDevice]) -> Iterator[str]:
    return (f'"{device.device}"' for device in devices if device.kind is BlockKind.DISK)
