"""Which device of the open guest a name of the source machine meant.

The source's kernel numbered disks in the order of its controllers, which is the order of the
guest's disks here. by-path names hold the place on the controller (udev's path_id), by-id names
a serial that only VMware knows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from vmdk2kvm.guest.appliance_devices import disk_name
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind
from vmdk2kvm.model.guest_os import DeviceNames, FileSystem

# A name ends where a path, a list or a quotation goes on.
_NAMES = re.compile(r"/dev/disk/by-[a-z]+/[^\s/\"',;]+|/dev/[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.+:-]+)*", re.ASCII)
_BEFORE_COLON = re.compile(r"(/dev/.+?-part[0-9]+|/dev/[^:]+):")  # "/dev/sda3:cryptroot"

# What names no disk: comments, lines of GRUB's device.map, optical and floppy drives (Linux called an
# IDE one /dev/hdc).
_ASIDE = re.compile(
    r"(?:^|[ \t])#.*|^[ \t]*\([a-z]+[0-9]+\).*|^.*(?:iso9660|udf|cdrom|dvd|floppy).*", re.MULTILINE
)

_LETTERED = re.compile(r"/dev/(?:s|h|v|xv)d([a-z]{1,3})([0-9]{0,4})")
_FAMILY = re.compile(
    r"/dev/(sd|hd|vd|xvd)[a-z]{1,3}[0-9]{0,4}|/dev/(nvme)[0-9]+n[0-9]+(?:p[0-9]+)?|/dev/(cciss)/.+"
)
_NVME = re.compile(r"/dev/nvme([0-9]{1,4})n([0-9]{1,4})(?:p([0-9]{1,4}))?")
_COUNTED_ARRAY = re.compile(r"/dev/md12[0-9]")
_CCISS = re.compile(r"/dev/cciss/c[0-9]+d([0-9]{1,4})(?:p([0-9]{1,4}))?")
_LINKED = re.compile(r"/dev/disk/(by-path|by-id)/(.+?)(?:-part([0-9]{1,4}))?")
_PART_AND_MORE = re.compile(r"-part[0-9]+:")  # "…-part5:cryptroot"
_TAGGED = re.compile(r"(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)")
_BY_TAG = re.compile(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/(.+)")
_UDEV_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")

_SCSI_PLACE = re.compile(r"(.+)-scsi-[0-9]+:[0-9]+:([0-9]{1,4}):([0-9]{1,4})")
_COUNTED_PLACE = re.compile(r"(.+-(?:ata|nvme))-([0-9]{1,4})(?:\.0)?")  # counted from 1
_PHY_PLACE = re.compile(r"(.+)-sas-phy([0-9]{1,4})-lun-0")
# One disk has several by-id names; these hold its serial (NAA), each in its own way.
_SERIAL = re.compile(r"(?:wwn-0x|scsi-3|scsi-S.+_)([0-9a-f]{16,32})")
MAX_NAMES = 20_000  # a guest of names only gets no answer for the rest
_CONTROLLER_UNIT = 7  # of a SCSI bus: the controller itself, never a disk


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a by-path name says the disk hangs; `index` counts the places before it."""

    controller: str
    index: int


class SourceNames:
    """Answers for one guest. `seen` are the names that occur in it, `used` those of its disks that
    are in force (`names_used`; None: all of `seen`)."""

    def __init__(
        self, devices: Iterable[BlockDevice], seen: Iterable[str] = (), used: Iterable[str] | None = None
    ) -> None:
        seen = tuple(seen)
        used = seen if used is None else tuple(used)
        self.devices = tuple(devices)
        self._by_device = {device.device: device for device in self.devices}
        self._disk_count = sum(device.kind is BlockKind.DISK for device in self.devices)
        places = (_place(match[2]) for name in seen if (match := _LINKED.fullmatch(name)))
        self._places = {place for place in places if place}
        self._controllers = {place.controller for place in self._places}
        self._indexes = sorted(place.index for place in self._places)
        # Each family of names counts its own disks: of two families, both may begin with disk 0.
        self._one_family = len({family for name in used if (family := _family(name))}) <= 1
        self._identities: dict[str, set[object]] = {"by-path": set(), "by-id": set()}
        for kind, identity in _linked_identities(frozenset(used)):
            self._identities[kind].add(identity)

    def find(self, name: str) -> BlockDevice | None:
        """The device behind any way to write one in fstab(5); None if none or several fit."""
        tagged = _TAGGED.fullmatch(name)
        if tagged:
            return self._tagged(tagged[1].lower(), tagged[2].strip("\"'"))
        linked = _BY_TAG.fullmatch(name)
        if linked:
            return self._tagged(linked[1], _UDEV_ESCAPE.sub(lambda found: chr(int(found[1], 16)), linked[2]))
        return self._on_disk(name) or self._volume(name)

    def _tagged(self, tag: str, value: str) -> BlockDevice | None:
        fitting = [device for device in self.devices if value and _same(tag, getattr(device, tag), value)]
        # All devices of one btrfs share its UUID, and any of them mounts it.
        shared = len({(device.uuid, device.content) for device in fitting}) == 1
        if fitting and fitting[0].content == "btrfs" and shared and tag in ("uuid", "label"):
            return fitting[0]
        return fitting[0] if len(fitting) == 1 else None

    def _on_disk(self, name: str) -> BlockDevice | None:
        place = self._disk_and_partition(name)
        if place is None:
            return None
        disk, partition = place
        return self._by_device.get(f"{disk_name(disk)}{partition or ''}")

    def _disk_and_partition(self, name: str) -> tuple[int, str | None] | None:
        if _family(name) and not self._one_family:
            return None
        if match := _LETTERED.fullmatch(name):
            return _letters_index(match[1]), match[2]
        if match := _NVME.fullmatch(name):
            controller, namespace = int(match[1]), int(match[2]) - 1
            # VMware's controller shows its disks as namespaces; where each has its own, they count.
            return (controller or namespace, match[3]) if 0 in (controller, namespace) else None
        if match := _CCISS.fullmatch(name):
            return int(match[1]), match[2]
        if match := _LINKED.fullmatch(name):
            disk = self._linked_disk(match[1], match[2])
            return None if disk is None else (disk, match[3])
        return None

    def _linked_disk(self, kind: str, name: str) -> int | None:
        identity = _identity(kind, name)
        if identity is None:
            return None
        if self._disk_count == 1:
            return 0 if self._identities[kind] <= {identity[1]} else None
        place = _place(name) if kind == "by-path" else None
        if place is None:
            return None
        if not self._controllers <= {place.controller} or len(self._indexes) > self._disk_count:
            return None
        places = self._indexes if place in self._places else sorted((*self._indexes, place.index))
        if len(places) > self._disk_count:
            return None
        if len(places) == self._disk_count:
            return places.index(place.index)
        return place.index if places[-1] < self._disk_count else None

    def _volume(self, name: str) -> BlockDevice | None:
        plain = name.replace("/dev/disk/by-id/dm-name-", "/dev/mapper/")
        volumes = [device for device in self.devices if device.disk is None]
        called = [device for device in volumes if plain in device.aliases]
        called += [device for device in volumes if plain == device.device]
        if not called and _COUNTED_ARRAY.fullmatch(plain):  # a number of no meaning: that of the only array
            called = [device for device in volumes if device.raid]
            return called[0] if len(called) == 1 else None
        return next(iter(called), None)


def names_in(text: str) -> set[str]:
    """Every device name that stands in a configuration file."""
    found = set(_NAMES.findall(text))
    return found | {match[1] for name in found if (match := _BEFORE_COLON.match(name))}


def names_used(text: str) -> set[str]:
    """The device names of a configuration file that are in force and may mean a disk."""
    return names_in(_ASIDE.sub("", text))


def device_names(devices: tuple[BlockDevice, ...], texts: Iterable[str]) -> DeviceNames:
    """What each name in `texts`, and each plain partition name, meant."""
    texts = tuple(texts)
    occurring = set(islice((name for text in texts for name in sorted(names_in(text))), MAX_NAMES))
    used = {name for text in texts for name in names_used(text)} & occurring
    names = SourceNames(devices, occurring, used)
    plain = {device.device for device in devices if device.disk is not None}
    found = {name: names.find(name) for name in sorted(occurring | plain)}
    return DeviceNames(
        filesystems=tuple(_file_system(device) for device in devices if device.content),
        by_name=_known(found),
        bare=tuple(_file_system(device) for device in devices if _is_bare(device)),
    )


def _known(found: Mapping[str, BlockDevice | None]) -> dict[str, str]:
    return {
        name: device.device
        for name, device in found.items()
        if device and (device.content or _is_bare(device))
    }


def _is_bare(device: BlockDevice) -> bool:
    return device.kind is BlockKind.PARTITION and not device.content


def _file_system(device: BlockDevice) -> FileSystem:
    return FileSystem(
        device=device.device,
        type=device.content or "",
        size_bytes=device.size_bytes,
        uuid=device.uuid,
        label=device.label,
        partuuid=device.partuuid,
        partlabel=device.partlabel,
        disk=device.disk,
        partition=device.partition,
    )


def _place(name: str) -> _Place | None:
    if match := _SCSI_PLACE.fullmatch(name):
        target, unit = int(match[2]), int(match[3])
        return None if unit else _Place(controller=match[1], index=target - (target > _CONTROLLER_UNIT))
    if match := _COUNTED_PLACE.fullmatch(name):
        return _Place(controller=match[1], index=int(match[2]) - 1)
    if match := _PHY_PLACE.fullmatch(name):
        return _Place(controller=match[1], index=int(match[2]))
    return None


def _family(name: str) -> str | None:
    """ "sd", "nvme", …: what a plain name of a disk or partition begins with."""
    match = _FAMILY.fullmatch(name)
    return match[match.lastindex or 0] if match else None


def _linked_identities(names: frozenset[str]) -> frozenset[tuple[str, object]]:
    """Of the by-path and by-id names that are whole: `names_in` also gives what stands around a colon."""
    found = set()
    names = frozenset(name for name in names if len(name) < 512)  # udev makes no longer ones
    cut_off = {name[: at.start()] for name in names for at in re.finditer(":", name)}
    for name in names:
        match = _LINKED.fullmatch(name)
        whole = not _PART_AND_MORE.search(name) and (name not in cut_off or (match and match[3]))
        if match and whole and (identity := _identity(match[1], match[2])):
            found.add(identity)
    return frozenset(found)


def _identity(kind: str, name: str) -> tuple[str, object] | None:
    """What tells one disk from another in a by-path or by-id name; None where no disk is meant."""
    if name.startswith(("dm-", "md-", "lvm-")):
        return None
    if kind == "by-path":
        return kind, _place(name) or name
    match = _SERIAL.fullmatch(name)
    return kind, match[1] if match else name


def _letters_index(letters: str) -> int:
    """ "a" → 0, "z" → 25, "aa" → 26."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _same(tag: str, held: str | None, wanted: str) -> bool:
    if held is None:
        return False
    return held.lower() == wanted.lower() if tag in ("uuid", "partuuid") else held == wanted
