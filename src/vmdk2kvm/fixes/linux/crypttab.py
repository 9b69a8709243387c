"""/etc/crypttab opens encrypted volumes by what they hold, not by where VMware put them (crypttab(5)).

Key files, options and names stay as they are. An initramfs that holds the old names is built anew.
"""

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, report
from vmdk2kvm.formats import crypttab
from vmdk2kvm.formats.crypttab import Entry
from vmdk2kvm.formats.device_names import is_hostile, is_plain, link_path, stable_names, starts_hostile
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level

PATHS = ("/etc/crypttab", "/etc/crypttab.initramfs")  # the second one goes into Arch's initramfs
_LUKS = "crypto_LUKS"
_PLAIN_OPTIONS = frozenset({"plain", "swap", "tmp"})
_OTHER_KINDS = {"bitlk": "BitLocker", "tcrypt": "", "tcrypt-hidden": "", "tcrypt-system": ""}
_FRESH = frozenset({"", "swap", "swsuspend"})  # what lies under a key that is new at every start
_NOT_EDITED = NoStableName(problem="other-field", why="only the second field is replaced")


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    for path in PATHS:
        file = read_guest_text(guest, path)
        if isinstance(file, GuestText):
            yield from _change(os, file)
        elif file is not None:
            yield file


def _change(os: GuestOs, file: GuestText) -> Planned:
    devices: dict[int, str] = {}
    findings: list[Finding] = []
    for entry in crypttab.entries(file.text):
        findings += (_finding(file, entry, name, _NOT_EDITED) for name in _other_names(entry))
        if not is_hostile(entry.device):
            continue
        found = _stable_device(os, entry)
        if isinstance(found, NoStableName):
            findings.append(_finding(file, entry, entry.device, found))
        else:
            devices[entry.line] = found
    after = crypttab.edit(file.text, devices)
    if after != file.text:
        yield with_text(file, after)
    yield from bounded(findings, file.path)


CRYPTTAB_FIX = Fix(
    name="crypttab-stable-names",
    reason="an encrypted volume that /etc/crypttab looks for by VMware's name is not opened on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _other_names(entry: Entry) -> list[str]:
    """Devices in the other fields: a key or a header kept on another disk."""
    places = [*entry.key_file.split(":"), *(entry.option("header") or "").split(":")]
    return [place for place in dict.fromkeys(places) if starts_hostile(place)]


def _stable_device(os: GuestOs, entry: Entry) -> str | NoStableName:
    device = os.names.resolve_any(entry.device)
    if device is None:
        return NoStableName(
            problem="unresolved-name", why="no partition of this machine answers to that name"
        )
    if device.type not in _expected(entry):
        held = device.type or "nothing known"
        return NoStableName(
            problem="contradicting-type", why=f"that device holds {held}, which cannot be meant here"
        )
    return _name_of(os, device)


def _expected(entry: Entry) -> frozenset[str]:
    """What the device of this entry may hold."""
    for option, type_ in _OTHER_KINDS.items():
        if option in entry.options:
            return frozenset({type_})
    if entry.is_random or "plain" in entry.options:
        return _FRESH
    # both systemd and Debian look for a header first
    return _FRESH | {_LUKS} if not _PLAIN_OPTIONS.isdisjoint(entry.options) else frozenset({_LUKS})


def _name_of(os: GuestOs, device: FileSystem) -> str | NoStableName:
    """`UUID=` of a LUKS volume; where its content changes at every start, the partition's own."""
    names = stable_names(device, (*os.names.filesystems, *os.names.bare))
    for name in filter(is_plain, names):
        if name.startswith("UUID=") and device.type == _LUKS:
            return name
        if name.startswith("PARTUUID="):
            return link_path(name)  # old versions of cryptsetup's scripts know no such tag
    return NoStableName(
        problem="no-stable-name", why="that device has no identity that is its own and can be written here"
    )


def _finding(file: GuestText, entry: Entry, name: str, problem: NoStableName) -> Finding:
    where = f'line {entry.line} of "{file.path}"'
    return report(name, where, problem, prefix="crypttab", level=_level(entry))


def _level(entry: Entry) -> Level:
    """The boot waits for a volume, unless its entry says otherwise."""
    if "noauto" in entry.options:
        return Level.INFO
    return Level.WARNING if "nofail" in entry.options else Level.ERROR
