"""What a guest calls its own LUKS volumes: its file systems and its tools know them by those names.

Names come from crypttab(5) and from kernel arguments (dracut.cmdline(7), mkinitcpio's encrypt hook,
cryptsetup's README.initramfs).
"""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from vmdk2kvm.errors import GuestError, GuestRefused, ToolMissing
from vmdk2kvm.formats import crypttab, fstab
from vmdk2kvm.formats.crypttab import Entry
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.inspection_names import SourceNames
from vmdk2kvm.guest.protocol import BlockDevice, GuestReader, GuestSession
from vmdk2kvm.guest.unlock import volumes
from vmdk2kvm.model.luks import LuksKey, LuksVolume, Secret

log = logging.getLogger(__name__)

_MAPPER = "/dev/mapper/"
_TABLES = ("/etc/crypttab", "/etc/crypttab.initramfs")  # mkinitcpio's sd-encrypt takes the second one
_ARGUMENTS = ("/etc/default/grub", "/etc/default/grub.d/*.cfg", "/etc/kernel/cmdline")
_CRYPTDEVICE = re.compile(r"\bcryptdevice=([^\s:\"']+):([^\s:,\"']+)")
_RD_LUKS_NAME = re.compile(r"\bluks\.name=([^\s=\"']+)=([^\s\"']+)")
_CRYPTOPTS = re.compile(r"\bcryptopts=([^\s\"']+)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9#+_.:=@-]{0,126}")
_NEEDED = frozenset({"/boot", "/usr", "/var"})  # a repair reads and writes there
_MAY_BE_AWAY = frozenset({"nofail", "noauto"})
_MOST_NAMES = 256
_SETTINGS = "luks_passphrase_env, luks_keyfile or luks_keys"

Named = tuple[str, str]  # (device as the guest writes it, name below /dev/mapper)


def read_names(guest: GuestReader, folder: str) -> tuple[Named, ...]:
    """What the system whose root lies in `folder` calls its volumes."""
    found = [(entry.device, entry.name) for entry in _entries(guest, folder)]
    for path in (path for pattern in _ARGUMENTS for path in guest.glob(folder + pattern)):
        found += islice(_named_in(_text(guest, path)), _MOST_NAMES)
    return tuple(found[:_MOST_NAMES])


def _named_in(arguments: str) -> Iterator[Named]:
    yield from ((match[1], match[2]) for match in _CRYPTDEVICE.finditer(arguments))
    yield from ((f"UUID={match[1]}", match[2]) for match in _RD_LUKS_NAME.finditer(arguments))
    for match in _CRYPTOPTS.finditer(arguments):
        options = dict(option.partition("=")[::2] for option in match[1].split(","))
        if "source" in options:
            yield options["source"], options.get("target", "cryptroot")


def _entries(guest: GuestReader, folder: str) -> Iterator[Entry]:
    texts = (_text(guest, folder + path) for path in _TABLES)
    return islice((entry for text in texts for entry in crypttab.entries(text)), _MOST_NAMES)


def called(named: Sequence[Named], devices: Sequence[BlockDevice]) -> Iterator[tuple[str, str]]:
    """Each open volume that the guest has a name for: its device now, and the guest's ("/dev/mapper/…")."""
    names = SourceNames(devices, (device for device, _ in named))
    inside = {device.luks_uuid: device.device for device in devices if device.luks_uuid}
    for source, name in named:
        container = names.find(source)
        device = inside.get(container.uuid.lower()) if container and container.uuid else None
        if device is not None and _is_name(name):
            yield device, _MAPPER + name


def rename_volumes(
    session: GuestSession, named: Sequence[Named], devices: Sequence[BlockDevice]
) -> dict[str, str]:
    """Call each open volume what the guest calls it; new device names by old ones."""
    taken = {device.device for device in devices}
    renamed: dict[str, str] = {}
    for old, new in called(named, devices):
        if old in renamed or new in taken:
            continue
        name = new.removeprefix(_MAPPER)
        try:
            session.rename_luks(old, name)
        except GuestError as error:  # the guest's tools may then not find it, and the rebuild's proof tells
            log.debug("%s keeps its name: %s", old, error)
            continue
        renamed[old] = new
        taken.add(new)
    return renamed


def open_with_own_keys(session: GuestSession, devices: Sequence[BlockDevice]) -> bool:
    """Open what the mounted guest opens with key files of its own; whether there was any."""
    closed = {volume.device for volume in volumes(session, devices) if volume.header and not volume.mapping}
    if not closed:
        return False
    entries = [each for each in _entries(session, "") if _has_own_key(each)]
    names = SourceNames(devices, (entry.device for entry in entries))
    opened = False
    for entry in entries:
        container = names.find(entry.device)
        if container is not None and container.device in closed and _open(session, container.device, entry):
            closed.remove(container.device)
            opened = True
    return opened


def _has_own_key(entry: Entry) -> bool:
    """Whether its key is a file as it stands, and no program, no other device and no part of a file."""
    special = ("keyscript", "keyfile-offset", "keyfile-size", "header", "noauto")
    path = _key_path(entry)
    is_file = path.startswith("/") and not path.startswith("/dev/")
    return is_file and _is_name(entry.name) and all(entry.option(each) is None for each in special)


def _key_path(entry: Entry) -> str:
    """Where none is named, systemd looks there (crypttab(5))."""
    return entry.key_file or f"/etc/cryptsetup-keys.d/{entry.name}.key"


def _open(session: GuestSession, device: str, entry: Entry) -> bool:
    try:
        path = _key_path(entry)
        secret = Secret(session.read_bytes(path))
        key = LuksKey(secret=secret, setting=f'"{visible(path)}" in the guest')
        return session.open_luks(device, entry.name, key)
    except (FileNotFoundError, GuestError, ToolMissing) as error:
        log.debug("%s stays locked: %s", device, error)
        return False


def check_locked(volumes: Sequence[LuksVolume], names: SourceNames, fstab_text: str) -> None:
    """Raises GuestRefused where a repair needs what a locked volume may hold."""
    locked = [volume for volume in volumes if volume.mapping is None]
    missing = (
        entry.mountpoint
        for entry in fstab.entries(fstab_text)
        if entry.mountpoint.rstrip("/") in _NEEDED
        and _MAY_BE_AWAY.isdisjoint(fstab.split_options(entry.options or ""))
        and names.find(entry.spec) is None
    )
    mountpoint = next(missing, None)
    if locked and mountpoint is not None:
        raise refusal(f'"{visible(mountpoint)}" in the guest may lie on it', locked)


def refusal(why: str, locked: Sequence[LuksVolume]) -> GuestRefused:
    return GuestRefused(
        f"{'; '.join(describe(volume) for volume in locked[:8])}; {why}.",
        hint=f"give its passphrase or key file with {_SETTINGS}.",
    )


def describe(volume: LuksVolume) -> str:
    """Which volume is locked, and why, as a clause."""
    uuid = volume.header.uuid if volume.header else "unknown"
    which = f'the LUKS volume "{uuid}" ("{visible(volume.device)}") is locked'
    if volume.error is not None:
        return f"{which}: {volume.error}"
    if volume.refused:
        return f"{which}: the key of {' and of '.join(volume.refused)} does not open it"
    return f"{which} and no key for it was given"


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name != "control"


def _text(guest: GuestReader, path: str) -> str:
    try:
        return guest.read_text(path)
    except (FileNotFoundError, GuestError):
        return ""
