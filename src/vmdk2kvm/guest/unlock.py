"""The LUKS volumes of a guest: found wherever they lie, and opened with the operator's keys.

LVM may lie inside LUKS and LUKS on LVM or RAID: after each opening the devices are looked at again.
"""

from collections.abc import Sequence

from vmdk2kvm.errors import GuestRefused
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.luks import LuksError, read_header
from vmdk2kvm.guest.protocol import BlockDevice, GuestSession
from vmdk2kvm.model.luks import LuksHeader, LuksKey, LuksKeys, LuksVolume, Passphrase
from vmdk2kvm.model.units import KIB

CONTENT = "crypto_LUKS"
SPARE_MIB = 768  # what an appliance needs beside argon2
_MOST_VOLUMES = 64


class MoreMemoryNeeded(GuestRefused):
    """The appliance has too little memory to open a volume; one with `memory_mib` has enough."""

    def __init__(self, device: str, memory_mib: int) -> None:
        super().__init__(
            f'the LUKS volume "{visible(device)}" needs an appliance with {memory_mib} MiB of memory.',
            hint="free memory on this host, then run again.",
        )
        self.memory_mib = memory_mib


def unlock(session: GuestSession, keys: LuksKeys, *, memory_mib: int) -> tuple[str, ...]:
    """Open every volume that a key fits; the others stay locked.

    Returns the settings whose keys are for no volume that is there, in words.
    Raises GuestRefused where a volume's own key does not fit, MoreMemoryNeeded, GuestError.
    """
    if keys.is_empty:
        return ()
    seen: set[str] = set()
    unused = set(keys.by_volume)
    while todo := [one for one in _containers(session.block_devices()) if one.device not in seen]:
        for container in todo:
            seen.add(container.device)
            names = (container.device, container.uuid, container.label, *container.aliases)
            unused -= {name for name in unused if name.lower() in {each.lower() for each in names if each}}
            own = keys.of(*names)
            ordered = _likely_first(session, own, seen)
            _unlock(session, container, ordered, is_own=own != keys.for_all, memory_mib=memory_mib)
    told = tuple(f'luks_keys for "{visible(name)}"' for name in sorted(unused))
    return told if seen else (*dict.fromkeys(key.setting for key in keys.for_all), *told)


def _likely_first(session: GuestSession, keys: tuple[LuksKey, ...], seen: set[str]) -> tuple[LuksKey, ...]:
    """The key that opened another volume first: every one in vain costs seconds."""
    fitted = {key.secret for key in (session.luks_keys(device)[0] for device in seen) if key}
    return tuple(sorted(keys, key=lambda key: key.secret not in fitted))


def volumes(session: GuestSession, devices: Sequence[BlockDevice]) -> tuple[LuksVolume, ...]:
    """Every LUKS volume among `devices`, open or locked."""
    inside = {device.luks_uuid: device.device for device in devices if device.luks_uuid}
    return tuple(_volume(session, container, inside) for container in _containers(devices))


def passphrases(session: GuestSession, found: Sequence[LuksVolume]) -> tuple[Passphrase, ...]:
    """What opened each volume, with what the guest may call it when it asks."""
    keys = ((volume, session.luks_keys(volume.device)[0]) for volume in found)
    return tuple(Passphrase(secret=key.secret, names=_names(volume)) for volume, key in keys if key)


def memory_mib(found: Sequence[LuksVolume]) -> int:
    """What a machine needs to open every one of these volumes by itself, 0 where that is nothing special."""
    argon2_kib = max((volume.header.memory_kib for volume in found if volume.header), default=0)
    return argon2_kib // KIB + SPARE_MIB if argon2_kib else 0


def _names(volume: LuksVolume) -> tuple[str, ...]:
    mapping = (volume.mapping or "").rpartition("/")[2]
    uuid = volume.header.uuid if volume.header else ""
    return tuple(name for name in (mapping, uuid) if name)


def _containers(devices: Sequence[BlockDevice]) -> list[BlockDevice]:
    return [device for device in devices if device.content == CONTENT][:_MOST_VOLUMES]


def _volume(session: GuestSession, container: BlockDevice, inside: dict[str, str]) -> LuksVolume:
    fits, refused = session.luks_keys(container.device)
    settings = tuple(dict.fromkeys(key.setting for key in refused))
    try:
        header = _header(session, container)
    except LuksError as error:
        return LuksVolume(device=container.device, header=None, refused=settings, error=str(error))
    mapping = inside.get(header.uuid) if fits else None
    return LuksVolume(device=container.device, header=header, mapping=mapping, refused=settings)


def _header(session: GuestSession, container: BlockDevice) -> LuksHeader:
    return read_header(lambda offset, size: session.read_device(container.device, offset, size))


def _unlock(
    session: GuestSession,
    container: BlockDevice,
    keys: tuple[LuksKey, ...],
    *,
    is_own: bool,
    memory_mib: int,
) -> None:
    if not keys:
        return
    try:
        header = _header(session, container)
    except LuksError:
        return  # told with the volume
    if header.uuid in {device.luks_uuid for device in session.block_devices()}:
        return  # a copy of one that is open
    needed_mib = header.memory_kib // KIB + SPARE_MIB
    if header.memory_kib and needed_mib > memory_mib:
        raise MoreMemoryNeeded(container.device, needed_mib)
    if not any(session.open_luks(container.device, f"luks-{header.uuid}", key) for key in keys) and is_own:
        raise GuestRefused(
            f'the key that {keys[0].setting} gives for the LUKS volume "{header.uuid}"'
            f' ("{visible(container.device)}") does not open it.',
            hint="check the key with `cryptsetup open --test-passphrase` on the source machine.",
        )
