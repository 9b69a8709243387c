"""Which disks of the machine are not here: arrays that lack a member, and entries that now have no disk."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.fixes import storage_settings
from vmdk2kvm.formats import crypttab, fstab, systemd_unit
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.guest.small_text import FSTAB_LIMIT_BYTES, read_small
from vmdk2kvm.model.guest_os import GuestOs, RaidArray
from vmdk2kvm.model.report import Finding, Level

_UNITS = ("/etc/systemd/system/*.mount", "/etc/systemd/system/*.swap")
_TAG = re.compile(r"(?:/dev/disk/by-(?=[a-z]+/))?(UUID|LABEL|PARTUUID|PARTLABEL)[=/][\"']?([^\"']+)", re.I)
_UDEV_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_LETTERED = re.compile(r"/dev/(?:s|h|v|xv)d([a-z]{1,2})[0-9]*")
# What lies on the machine's own disks under a name that tells so.
_OWN = re.compile(
    r"/dev/md[0-9]\S*|/dev/(?:md/|mapper/|disk/by-id/(?:dm|md|lvm)-)\S+"
    r"|/dev/(?!disk/|md/|mapper/|zvol/|cdrom/|drbd/|rbd/|loop)[A-Za-z0-9_.+-]+/[A-Za-z0-9_.+-]+"
)
_OPTICAL = frozenset({"iso9660", "udf"})
_MOST_FINDINGS = 20
_MAPPER = "/dev/mapper/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One line that takes something from `device`; `where` says which, `what` what for."""

    where: str
    what: str
    device: str
    level: Level
    remedy: str


def storage(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    yield from _settings(guest, os)
    for array in os.raids:
        yield from _array(array)
    found = [entry for entry in _entries(guest, os) if is_left_behind(os, entry.device)]
    for entry in found[:_MOST_FINDINGS]:
        yield _left_behind(os, entry)
    if len(found) > _MOST_FINDINGS:
        yield Finding(
            id="findings-cut-off",
            level=Level.WARNING,
            message=f"{len(found) - _MOST_FINDINGS} more entries of the guest have no disk here.",
            remedy="give all disks of the machine.",
        )


def is_left_behind(os: GuestOs, name: str) -> bool:
    """Whether `name`, as fstab(5) writes it, means a disk of the machine that is not here."""
    every = (*os.names.filesystems, *os.names.bare)
    if tag := _TAG.fullmatch(name):
        wanted = _UDEV_ESCAPE.sub(lambda found: chr(int(found[1], 16)), tag[2]).lower()
        return all((getattr(each, tag[1].lower()) or "").lower() != wanted for each in every)
    if os.names.resolve_any(name) is not None:
        return False
    if is_hostile(name):
        lettered = _LETTERED.fullmatch(name)
        return lettered is not None and _place(lettered[1]) > max(
            (each.disk or 0 for each in every), default=0
        )
    return _OWN.fullmatch(name) is not None


def _place(letters: str) -> int:
    """ "a" → 0, "z" → 25, "aa" → 26."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("a") + 1
    return place - 1


# settings that name VMware's disks


def _settings(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    if storage_settings.hides_volumes(os, _setting(guest, storage_settings.LVM_DEVICES)):
        yield _hidden(storage_settings.LVM_DEVICES, "FIX takes it away (lvm-devices)")
    for path in storage_settings.LVM_CONFIGURATIONS:
        text = _setting(guest, path)
        if storage_settings.with_virtio_names(os, text) != text:
            yield _hidden(path, "FIX lets its filters take KVM's disks too (lvm-devices)")
    for path in storage_settings.MDADM_CONFIGURATIONS:
        text = _setting(guest, path)
        if storage_settings.with_all_devices(os, text)[0] != text:
            yield _hidden(path, "FIX lets md look at every disk (mdadm-conf)")
    for path in (path for pattern in _UNITS for path in guest.glob(pattern)):
        if any(is_hostile(each.value) for each in systemd_unit.devices(_text(guest, path))):
            yield _hidden(path, "FIX writes a stable name there (systemd-units-stable-names)")


def _setting(guest: GuestReader, path: str) -> str:
    return read_small(guest, path, storage_settings.LIMIT_BYTES) or ""


def _hidden(path: str, remedy: str) -> Finding:
    return Finding(
        id="storage-vmware-names",
        level=Level.WARNING,
        message=visible(f'"{path}" knows disks by what only VMware calls them; on KVM they are not found.'),
        remedy=f"{remedy}.",
    )


# arrays


def _array(array: RaidArray) -> Iterator[Finding]:
    name = visible(array.device or array.name or array.uuid or "")
    if array.device is None:
        yield Finding(
            id="raid-array-incomplete",
            level=Level.ERROR,
            message=f'the array "{name}" cannot be started: too few of its disks are here.',
            remedy="give all disks of the machine; what is on it was neither looked into nor repaired.",
        )
    elif array.missing_count:
        here = array.member_count - array.missing_count
        yield Finding(
            id="raid-member-missing",
            level=Level.WARNING,
            message=f'the array "{name}" ({array.level}) runs on {here} of its {array.member_count} disks;'
            " the rest did not come along, or had failed before.",
            remedy=f"give all disks of the machine, or add a new one on KVM with `mdadm {name} --add`.",
        )


# entries without a disk


def _left_behind(os: GuestOs, entry: _Entry) -> Finding:
    locked = any(volume.mapping is None for volume in os.luks)
    perhaps = ", unless it lies on the volume that stayed locked" if locked else ""
    return Finding(
        id="disk-left-behind",
        level=Level.WARNING if locked and entry.level is Level.ERROR else entry.level,
        message=visible(f'{entry.where} {entry.what} "{entry.device}", which is on no disk given{perhaps}.'),
        remedy=f"give all disks of the machine, in their order, or {entry.remedy}.",
    )


def _entries(guest: GuestReader, os: GuestOs) -> Iterator[_Entry]:
    volumes = {entry.name: entry for entry in crypttab.entries(_text(guest, "/etc/crypttab"))}
    for entry in _of_fstab(os):
        volume = volumes.get(entry.device.removeprefix(_MAPPER))
        # what crypttab opens is told there
        if volume is None or not entry.device.startswith(_MAPPER):
            yield entry
    yield from map(_of_crypttab, volumes.values())
    for path in (path for pattern in _UNITS for path in guest.glob(pattern)):
        yield from _of_unit(path, _text(guest, path))


def _of_fstab(os: GuestOs) -> Iterator[_Entry]:
    for entry in fstab.entries(os.fstab or ""):
        options = fstab.split_options(entry.options or "")
        if _OPTICAL.isdisjoint(entry.type.split(",")) and "_netdev" not in options:
            swaps = entry.type == "swap"
            yield _Entry(
                where=f'line {entry.line} of "/etc/fstab"',
                what="swaps to" if swaps else f'mounts "{entry.mountpoint}" from',
                device=entry.spec,
                level=_level(options, Level.WARNING if swaps else Level.ERROR),
                remedy='write "nofail" among the options of that line in the guest',
            )


def _of_crypttab(entry: crypttab.Entry) -> _Entry:
    return _Entry(
        where='"/etc/crypttab"',
        what=f'opens "{entry.name}" from',
        device=entry.device,
        level=_level(entry.options, Level.ERROR),
        remedy='write "nofail" among the options of that line in the guest',
    )


def _of_unit(path: str, text: str) -> Iterator[_Entry]:
    for setting in systemd_unit.devices(text):
        yield _Entry(
            where=f'"{path}"',
            what="takes its content from",
            device=setting.value,
            level=Level.WARNING,
            remedy=f'disable it in the guest (`systemctl disable "{visible(path.rpartition("/")[2])}"`)',
        )


def _level(options: tuple[str, ...], otherwise: Level) -> Level:
    """The boot waits for an entry, unless it says that it need not."""
    return otherwise if {"noauto", "nofail"}.isdisjoint(options) else Level.INFO


def _text(guest: GuestReader, path: str) -> str:
    return read_small(guest, path, FSTAB_LIMIT_BYTES) or ""
