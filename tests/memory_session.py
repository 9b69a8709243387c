"""A guest's disks in a dict: a GuestSession for tests of INSPECT, without an appliance."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vmdk2kvm.errors import GuestError
from vmdk2kvm.guest.memory import Folder, MemoryGuest, Node
from vmdk2kvm.guest.paths import join
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind, Room, Subvolumes

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


class MemorySession(MemoryGuest):
    """`trees` are the files of each device; those of a btrfs subvolume stand below its path."""

    def __init__(
        self,
        devices: Sequence[BlockDevice],
        trees: Mapping[str, Tree],
        *,
        subvolumes: Mapping[str, Subvolumes] | None = None,
        broken: Sequence[str] = (),
    ) -> None:
        super().__init__({})
        self._devices = tuple(devices)
        self._trees = trees
        self._subvolumes = subvolumes or {}
        self._broken = broken
        self.mounts: list[tuple[str, str, tuple[str, ...], bool]] = []

    def block_devices(self) -> tuple[BlockDevice, ...]:
        return self._devices

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
