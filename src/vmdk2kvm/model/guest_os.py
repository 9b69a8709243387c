"""What INSPECT learns of the system inside a guest: facts, no judgement."""

from dataclasses import dataclass, field
from enum import Enum

from vmdk2kvm.model.luks import LuksVolume
from vmdk2kvm.model.network import Nic


class OsFamily(Enum):
    DEBIAN = "debian"
    REDHAT = "redhat"
    SUSE = "suse"
    ARCH = "arch"
    ALPINE = "alpine"
    OTHER_LINUX = "other-linux"
    WINDOWS = "windows"


LINUX_FAMILIES = frozenset(OsFamily) - {OsFamily.WINDOWS}


class Firmware(Enum):
    BIOS = "bios"
    UEFI = "uefi"


class InitramfsTool(Enum):
    INITRAMFS_TOOLS = "initramfs-tools"
    DRACUT = "dracut"
    MKINITRD = "mkinitrd"
    MKINITCPIO = "mkinitcpio"
    MKINITFS = "mkinitfs"
    BOOSTER = "booster"


class BootLoaderKind(Enum):
    GRUB2 = "grub2"
    GRUB_LEGACY = "grub-legacy"
    SYSTEMD_BOOT = "systemd-boot"
    EXTLINUX = "extlinux"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """One formatted block device of the guest, as seen by blkid.

    `device` is the name it has while the guest lies open ("/dev/sda1", "/dev/vg0/root");
    `disk` and `partition` are its place in the source machine (disk from 0, partition from 1),
    `partition` None for a whole disk, both None for LVM, md and device-mapper volumes.
    """

    device: str
    type: str
    size_bytes: int
    uuid: str | None = None
    label: str | None = None
    partuuid: str | None = None
    partlabel: str | None = None
    disk: int | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file system of the guest and where the guest mounts it, in mount order (/ first)."""

    device: str
    mountpoint: str
    type: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    mountpoint: str
    free_bytes: int
    free_inodes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Initramfs:
    """What one initramfs image holds.

    `modules` are kernel module names with "_" for "-" ("virtio_blk"); `error` says why the image
    could not be read, and then `modules` is empty. `files` are the small settings baked into it
    ("conf/conf.d/resume", "etc/cmdline.d/…"), by path. `builder` is the tool that made it, where a
    file in it says so.
    """

    path: str
    size_bytes: int
    compression: str
    modules: frozenset[str]
    error: str | None = None
    files: tuple[tuple[str, bytes], ...] = ()
    mtime_s: int = 0
    builder: InitramfsTool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A bootable kernel; `available` are the modules in /lib/modules, `builtin` those compiled in."""

    version: str
    image: str
    initramfs: Initramfs | None
    available: frozenset[str]
    builtin: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLoader:
    """One boot loader; `files` are the configuration files that hold kernel arguments."""

    kind: BootLoaderKind
    firmware: Firmware
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaidArray:
    """An array of md(4), as its superblocks describe it. `name` is "host:data"; `uuid` is blkid's.

    `device` is what it is called while the guest lies open, None where it could not be started.
    `missing_count` are members that are not here, or were lost before; counts are 0 where unknown.
    """

    uuid: str | None
    name: str | None
    level: str = ""
    member_count: int = 0
    missing_count: int = 0
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNames:
    """Which file system each device name of the source machine meant.

    `filesystems` are all formatted devices of all disks. A name that could mean two, or none,
    resolves to None, and the fix that asked reports it. `bare` are the partitions that hold nothing
    known (swap under a new key at every start, volumes without a header).
    """

    filesystems: tuple[FileSystem, ...]
    by_name: dict[str, str] = field(default_factory=dict)  # "/dev/sda1" -> FileSystem.device
    bare: tuple[FileSystem, ...] = ()

    def resolve(self, name: str) -> FileSystem | None:
        """The file system behind a source name ("/dev/sda1", "/dev/disk/by-path/…")."""
        device = self.by_name.get(name)
        return next((fs for fs in self.filesystems if fs.device == device), None)

    def resolve_any(self, name: str) -> FileSystem | None:
        """The same, bare partitions included."""
        device = self.by_name.get(name)
        return next((fs for fs in (*self.filesystems, *self.bare) if fs.device == device), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestOs:
    family: OsFamily
    id: str  # os-release ID
    version: str
    name: str  # PRETTY_NAME
    arch: str  # "x86_64", "aarch64", "i686", …
    firmware: Firmware
    names: DeviceNames
    mounts: tuple[Mount, ...]
    space: tuple[Space, ...]
    kernels: tuple[Kernel, ...]  # newest first
    boot_loaders: tuple[BootLoader, ...]
    initramfs_tool: InitramfsTool | None
    fstab: str | None  # the text of /etc/fstab
    lvm: bool = False
    nics: tuple[Nic, ...] = ()  # the machine's cards in its order; () where nobody told
    luks: tuple[LuksVolume, ...] = ()
    raids: tuple[RaidArray, ...] = ()
