"""A guest's disks in a dict: a GuestSession for tests of INSPECT, without an appliance."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.luks import read_header
from vmdk2kvm.guest.memory import Folder, MemoryGuest, Node
from vmdk2kvm.guest.paths import join
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind, Room, Subvolumes
from vmdk2kvm.model.luks import LuksKey, Secret

Tree = Mapping[str, bytes | str | Node]
ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


def disk(name: str, index: int, *, boot_code: bytes = b"\xeb\x63") -> BlockDevice:
    return BlockDevice(device=name, kind=BlockKind.DISK, size_bytes=1 << 30, disk=index, boot_code=boot_code)


def partition(name: str, content: str | None, uuid: str | None = None, **facts: str) -> BlockDevice:
    """`/dev/sdb3`: the third partition of the second disk."""
    found = BlockDevice(
        device=name,
        kind=BlockKind.PARTITION,
        size_bytes=1 << 30,
        content=content,
        uuid=uuid,
        disk=ord(name[7]) - ord("a"),
        partition=int(name[8:]),
    )
    return replace(found, **facts)


class Locked:
    """A LUKS volume: `content` is what stands directly inside, `volumes` those of LVM on top of that."""

    def __init__(
        self,
        header: bytes,
        passphrase: bytes,
        content: str,
        *volumes: BlockDevice,
        uuid: str = "inside",
    ) -> None:
        self.header = header
        self._key = Secret(passphrase)
        self._content = content
        self._uuid = uuid
        self._volumes = volumes
        self.inside: list[BlockDevice] = []
        self.opened_by: LuksKey | None = None
        self.refused: list[LuksKey] = []

    def open(self, name: str, key: LuksKey) -> bool:
        if key.secret != self._key:
            self.refused.append(key)
            return False
        mapping = BlockDevice(
            device=f"/dev/mapper/{name}",
            kind=BlockKind.CRYPT,
            size_bytes=1 << 29,
            content=self._content,
            uuid=self._uuid,
            luks_uuid=read_header(lambda offset, size: self.header[offset : offset + size]).uuid,
        )
        self.inside = [mapping, *self._volumes]
        self.opened_by = key
        return True


class MemorySession(MemoryGuest):
    """`trees` are the files of each device; those of a btrfs subvolume stand below its path."""

    def __init__(
        self,
        devices: Sequence[BlockDevice],
        trees: Mapping[str, Tree],
        *,
        subvolumes: Mapping[str, Subvolumes] | None = None,
        broken: Sequence[str] = (),
        luks: Mapping[str, "Locked"] | None = None,
        superblocks: Mapping[str, bytes] | None = None,
        dirty: Sequence[str] = (),
    ) -> None:
        super().__init__({})
        self._superblocks = superblocks or {}
        self._dirty = dirty
        self._devices = tuple(devices)
        self._trees = trees
        self._subvolumes = subvolumes or {}
        self._broken = broken
        self.luks = dict(luks or {})
        self.mounts: list[tuple[str, str, tuple[str, ...], bool]] = []

    def block_devices(self) -> tuple[BlockDevice, ...]:
        opened = (device for locked in self.luks.values() for device in locked.inside)
        return (*self._devices, *opened)

    def read_device(self, device: str, offset: int, size_bytes: int) -> bytes:
        locked = self.luks.get(device)
        content = locked.header if locked else self._superblocks.get(device, b"")
        return content[offset : offset + size_bytes]

    def replayed(self) -> tuple[str, ...]:
        return tuple(self._dirty)

    def open_luks(self, device: str, name: str, key: LuksKey) -> bool:
        return self.luks[device].open(name, key)

    def luks_keys(self, device: str) -> tuple[LuksKey | None, tuple[LuksKey, ...]]:
        locked = self.luks.get(device)
        return (locked.opened_by, tuple(locked.refused)) if locked else (None, ())

    def rename_luks(self, device: str, name: str) -> None:
        found = next(one for one in self.luks.values() if any(each.device == device for each in one.inside))
        path = f"/dev/mapper/{name}"
        found.inside = [
            replace(each, device=path) if each.device == device else each for each in found.inside
        ]
        if device in self._trees:
            self._trees = {**self._trees, path: self._trees[device]}

    def mount(
        self, device: str, mountpoint: str, *, options: Sequence[str] = (), read_only: bool = False
    ) -> None:
        if device in self._broken:
            raise GuestError(f'"{device}" cannot be mounted: bad superblock', hint="check it.")
        place = self.realpath(mountpoint)
        tree = MemoryGuest(self._trees.get(device, {})).snapshot()
        for path, node in _below(tree, self._top(device, options)).items():
            self.make_folder(place)
            self._nodes[path if place == "/" else place + path.rstrip("/")] = node
        self.mounts.append((device, mountpoint, tuple(options), read_only))

    def unmount_all(self) -> None:
        self.mounts.clear()
        self._nodes.clear()
        self._nodes["/"] = Folder()

    def subvolumes(self) -> Subvolumes:
        return self._subvolumes[self.mounts[0][0]]

    def room(self, mountpoint: str) -> Room:
        assert self.exists(mountpoint)
        return Room(free_bytes=1 << 20, free_inodes=None)

    def trim(self) -> tuple[tuple[str, str], ...]:
        raise AssertionError("INSPECT trims nothing")

    def _top(self, device: str, options: Sequence[str]) -> str:
        """The folder of the device's tree that these mount options show."""
        chosen = dict(option.split("=", 1) for option in options)
        if "subvol" in chosen:
            return chosen["subvol"].strip("/")
        default = self._subvolumes[device].default if device in self._subvolumes else ""
        return "" if chosen.get("subvolid") == "5" else default


def _below(tree: Mapping[str, Node], folder: str) -> dict[str, Node]:
    top = join("/", folder) if folder else ""
    if top and top not in tree:
        raise GuestError(f'no subvolume "{folder}"', hint="")
    inside = {path: node for path, node in tree.items() if path == top or path.startswith(f"{top}/")}
    return {path[len(top) :] or "/": node for path, node in inside.items()}
