"""Eleven Linux machines: storage, loader, network stack and Debian release, combined pairwise.

Each pair of values of two factors meets at most once, and every value at least twice. Machines that
call their devices by VMware's names and have VMware's drivers alone fall on virtio; the others boot
there and lose their addresses, because the interface's name came from a PCI slot.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from tests.guests import loaders, networks, storage
from tests.guests.cache import key
from tests.guests.catalog import GUESTS, Guest
from tests.guests.linux_parts import BootPartition, Card, Loader, Names, Network, Storage

BOOKWORM, TRIXIE = "bookworm", "trixie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    mib: int
    subformat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxGuest:
    name: str
    suite: str
    firmware: str
    vmware_bus: str
    machine_id: str
    packages: tuple[str, ...]
    disks: tuple[Disk, ...]
    storage: str  # shell, in the appliance
    files: dict[str, str]
    enable: str  # shell, in the tree
    initramfs_in_appliance: bool  # where building it takes the real devices
    loader: str  # shell, in the tree, inside the appliance
    efi_program: str | None  # what the firmware's boot entry names, where nothing else is found
    esp_mib: int
    cards: tuple[Card, ...]
    passphrase: str | None
    tells_cards: bool = False  # whether the operator gives the MACs
    fails_with: str | None = None  # the named failure on virtio; None: it boots there, without its addresses

    @property
    def made_of(self) -> str:
        """What its disks depend on."""
        return repr(replace(self, tells_cards=False, fails_with=None))


_SUBFORMATS = (
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "streamOptimized",
)
_VMWARE_MODULES = ("vmw_pvscsi", "mptspi", "mptsas", "ahci", "sd_mod", "vmxnet3", "ext4", "crc32c_generic")
_SERIAL, _SCREEN = "console=tty0 console=ttyS0,115200", "console=tty0"
MakeStorage = Callable[[Names, BootPartition | None], Storage]
MakeLoader = Callable[[str], Loader]  # of the root, as the kernel is told
MakeNetwork = Callable[[tuple[Card, ...]], Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`names`: VMware's device names and drivers alone."""

    number: int
    name: str
    suite: str
    storage: MakeStorage
    loader: Callable[..., Loader]
    network: MakeNetwork
    names: bool
    fails_with: str | None = None
    console: str = _SERIAL
    cards: int = 1
    tells_cards: bool = False
    options: dict[str, object] = field(default_factory=dict)


def _guest(choice: Choice) -> LinuxGuest:
    names = Names(sources=choice.names, guest=choice.name)
    machine_id = (key(choice.name) * 3)[:32]
    make_loader = partial(choice.loader, choice.console, **_options(choice, machine_id))
    # the storage says what the root is called, the loader which partition it wants
    partition = make_loader("").partition
    made = choice.storage(names, partition)
    loader, cards = make_loader(made.root), _cards(choice)
    network = choice.network(cards)
    return LinuxGuest(
        name=choice.name,
        suite=choice.suite,
        firmware=loader.firmware,
        vmware_bus="ahci" if loader.firmware == "uefi" else "pvscsi",
        machine_id=machine_id,
        packages=(*made.packages, *loader.packages, *network.packages),
        disks=tuple(
            Disk(mib=mib, subformat=_SUBFORMATS[(choice.number + index) % len(_SUBFORMATS)])
            for index, mib in enumerate(made.disks_mib)
        ),
        storage=made.script,
        files={
            "/etc/fstab": "\n".join(["# /etc/fstab", *made.fstab]) + "\n",
            **_initramfs_files(choice, made),
            **made.files,
            **loader.files,
            **network.files,
            **networks.waiting_service(cards),
        },
        enable=f"{network.enable}\nsystemctl -q enable server.service",
        initramfs_in_appliance=made.passphrase is not None,
        loader=loader.install,
        efi_program=loader.efi_program,
        esp_mib=partition.mib if partition else 0,
        cards=cards,
        passphrase=made.passphrase,
        tells_cards=choice.tells_cards,
        fails_with=choice.fails_with,
    )


def _options(choice: Choice, machine_id: str) -> dict[str, object]:
    if choice.loader is loaders.systemd_boot:
        return {"machine_id": machine_id}
    return choice.options if choice.loader is loaders.extlinux else {"names": choice.names, **choice.options}


def _initramfs_files(choice: Choice, made: Storage) -> dict[str, str]:
    which = "list" if choice.names else "most"
    conf = f"MODULES={which}\nBUSYBOX=auto\nKEYMAP=n\nCOMPRESS=zstd\nDEVICE=\nNFSROOT=auto\n"
    modules = "\n".join((*_VMWARE_MODULES, *made.modules)) + "\n" if choice.names else ""
    return {
        "/etc/initramfs-tools/initramfs.conf": conf,
        "/etc/initramfs-tools/modules": modules,
        "/etc/initramfs-tools/conf.d/resume": "RESUME=none\n",
    }


def _cards(choice: Choice) -> tuple[Card, ...]:
    """VMware gives its cards the slots 192, 224, 256…"""
    return tuple(
        Card(
            name=f"ens{192 + 32 * index}",
            mac=f"00:50:56:aa:{index:02x}:{choice.number:02x}",
            address=f"10.77.{index}.{choice.number + 10}/24",
        )
        for index in range(choice.cards)
    )


_SHELL = "initramfs shell"
_NO_LOADER = "UEFI shell"

CHOICES = (
    Choice(
        number=1,
        name="luks-root",
        suite=BOOKWORM,
        storage=storage.luks,
        loader=loaders.grub,
        network=networks.ifupdown,
        names=True,
        fails_with=_SHELL,
        console=_SCREEN,
    ),
    Choice(
        number=2,
        name="lvm-two-disks",
        suite=BOOKWORM,
        storage=storage.lvm_over_two_disks,
        loader=loaders.extlinux,
        network=networks.networkd,
        names=True,
        fails_with=_SHELL,
    ),
    Choice(
        number=3,
        name="md-mirror",
        suite=BOOKWORM,
        storage=storage.mirror,
        loader=loaders.grub,
        network=networks.network_manager,
        names=True,
        fails_with=_SHELL,
        tells_cards=True,
        options={"partition": False},
    ),
    Choice(
        number=4,
        name="usr-and-var",
        suite=BOOKWORM,
        storage=storage.usr_and_var,
        loader=loaders.grub_without_fallback,
        network=networks.netplan,
        names=True,
        fails_with=_NO_LOADER,
    ),
    Choice(
        number=5,
        name="systemd-boot",
        suite=BOOKWORM,
        storage=storage.plain,
        loader=loaders.systemd_boot,
        network=networks.ifupdown,
        names=True,
        fails_with=_SHELL,
        tells_cards=True,
    ),
    Choice(
        number=6,
        name="extlinux",
        suite=BOOKWORM,
        storage=storage.plain,
        loader=loaders.extlinux,
        network=networks.network_manager,
        names=True,
        fails_with=_SHELL,
    ),
    Choice(
        number=7,
        name="no-fallback",
        suite=TRIXIE,
        storage=storage.plain,
        loader=loaders.grub_without_fallback,
        network=networks.networkd,
        names=False,
        fails_with=_NO_LOADER,
    ),
    Choice(
        number=8,
        name="static-ifupdown",
        suite=TRIXIE,
        storage=storage.usr_and_var,
        loader=loaders.extlinux,
        network=networks.ifupdown,
        names=False,
    ),
    Choice(
        number=9,
        name="static-networkd",
        suite=TRIXIE,
        storage=storage.mirror,
        loader=loaders.systemd_boot,
        network=networks.networkd,
        names=False,
        cards=2,
        tells_cards=True,
    ),
    Choice(
        number=10,
        name="static-netplan",
        suite=TRIXIE,
        storage=storage.lvm_over_two_disks,
        loader=loaders.grub,
        network=networks.netplan,
        names=False,
    ),
    Choice(
        number=11,
        name="static-nm",
        suite=TRIXIE,
        storage=storage.luks,
        loader=loaders.systemd_boot,
        network=networks.network_manager,
        names=False,
        tells_cards=True,
    ),
)
LINUX = tuple(map(_guest, CHOICES))

MACHINES: dict[str, Guest | LinuxGuest] = {**GUESTS, **{guest.name: guest for guest in LINUX}}
