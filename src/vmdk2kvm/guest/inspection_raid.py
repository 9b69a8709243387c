"""The guest's md arrays, and what its own mdadm.conf(5) calls them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from vmdk2kvm.formats import mdadm_conf
from vmdk2kvm.formats.mdadm_conf import Array, identity_of
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind, GuestReader
from vmdk2kvm.guest.small_text import read_small
from vmdk2kvm.model.guest_os import RaidArray

MEMBER = "linux_raid_member"
_CONFIGURATIONS = ("/etc/mdadm.conf", "/etc/mdadm/mdadm.conf")
_NUMBERED = re.compile(r"/dev/md/?([0-9]{1,4})")
_MOST_ARRAYS = 256


def read_arrays(guest: GuestReader, folder: str) -> tuple[Array, ...]:
    """The ARRAY lines of the system whose root lies in `folder`."""
    texts = (read_small(guest, folder + path) or "" for path in _CONFIGURATIONS)
    return tuple(array for text in texts for array in mdadm_conf.arrays(text))[:_MOST_ARRAYS]


def with_configured_names(devices: Sequence[BlockDevice], arrays: Iterable[Array]) -> tuple[BlockDevice, ...]:
    """`devices`, the arrays known by the names mdadm.conf gives them, and not by those it gives others."""
    claimed: dict[str, str] = {}
    for array in arrays:
        fitting = [device for device in devices if device.raid and _is(device.raid, array)]
        for name in (name for written in array.names for name in _spellings(written)):
            if len(fitting) == 1:
                claimed.setdefault(name, fitting[0].device)
    if not claimed:
        return tuple(devices)
    return tuple(_renamed(device, claimed) if device.raid else device for device in devices)


def raids(devices: Sequence[BlockDevice]) -> tuple[RaidArray, ...]:
    """Every array of which a member is here, started or not."""
    arrays = [device for device in devices if device.kind is BlockKind.MD and device.raid]
    found = [
        replace(device.raid, device=device.device if device.size_bytes else None)
        for device in arrays
        if device.raid
    ]
    known = {raid.uuid for raid in found}
    for member in devices:
        if member.content == MEMBER and member.uuid and member.uuid not in known:
            known.add(member.uuid)
            found.append(RaidArray(uuid=member.uuid, name=member.label))
    return tuple(found)


def _is(raid: RaidArray, array: Array) -> bool:
    if array.uuid is not None:
        return raid.uuid is not None and identity_of(raid.uuid) == array.uuid
    return array.name is not None and array.name == raid.name


def _renamed(device: BlockDevice, claimed: dict[str, str]) -> BlockDevice:
    own = [name for name, owner in claimed.items() if owner == device.device]
    kept = [name for name in device.aliases if name not in claimed]
    return replace(device, aliases=tuple(dict.fromkeys((*own, *kept))))


def _spellings(name: str) -> Iterator[str]:
    """ "data", "/dev/md/data"; "0", "/dev/md0", "/dev/md/0"."""
    path = name if name.startswith("/") else f"/dev/md/{name}"
    yield path
    if numbered := _NUMBERED.fullmatch(path):
        yield from (f"/dev/md{numbered[1]}", f"/dev/md/{numbered[1]}")
