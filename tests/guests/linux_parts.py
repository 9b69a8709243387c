"""What Linux machines are put together from: storage, boot loader and network stack, as data.

Scripts run in the appliance. A and B are the names of the machine's disks there; its root is mounted
on /sysroot when a storage's script has ended.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPartition:
    """The first partition of the first disk, and where the guest mounts it."""

    mib: int
    mountpoint: str
    type: str
    is_esp: bool

    @property
    def label(self) -> str:
        return "gpt" if self.is_esp else "dos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a machine calls its devices: `sources` as on VMware ("/dev/sda2"), or UUIDs.

    `uuid` makes a UUID of this guest's own for a word.
    """

    sources: bool
    guest: str

    def of(self, device: str, uuid: str) -> str:
        return device if self.sources else f"UUID={uuid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    disks_mib: tuple[int, ...]
    script: str
    root: str  # as the kernel is told
    fstab: tuple[str, ...]
    modules: tuple[str, ...] = ()  # what the initramfs needs for it
    packages: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    passphrase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """`install` runs in the guest's tree, inside the appliance, KVER is the kernel's version."""

    firmware: str
    packages: tuple[str, ...]
    partition: BootPartition | None
    install: str
    files: dict[str, str] = field(default_factory=dict)
    efi_program: str | None = None  # what only the firmware's own boot entry names


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`name` is what udev calls it on VMware; its address is bound to that name."""

    name: str
    mac: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    packages: tuple[str, ...]
    files: dict[str, str]
    enable: str = ""  # shell, in the guest's tree
