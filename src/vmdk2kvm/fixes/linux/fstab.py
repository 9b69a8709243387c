"""/etc/fstab names devices by what they hold, not by where VMware put them (fstab(5))."""

from functools import partial

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import read_guest_text, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, find_stable_name, report, stable_name_of
from vmdk2kvm.formats import fstab
from vmdk2kvm.formats.device_names import BY_PATH, is_hostile, is_plain, link_path
from vmdk2kvm.formats.fstab import Entry, Replacement
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.choices import FstabMode
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level

PATH = "/etc/fstab"
_BTRFSVOL = "btrfsvol:"  # DEVICE/SUBVOLUME: how libguestfs names a subvolume; no system mounts that
_OPTICAL = frozenset({"iso9660", "udf"})
_ALIKE = (
    frozenset({"ext2", "ext3", "ext4"}),  # one driver mounts them all
    frozenset({"vfat", "msdos"}),
    frozenset({"ntfs", "ntfs3", "ntfs-3g", "lowntfs-3g"}),
    frozenset({"swap", "swsuspend"}),
)
_DEVICE_OPTIONS = frozenset({"device", "logdev", "rtdev", "journal_path", "x-systemd.requires"})


def fstab_fix(mode: FstabMode) -> Fix:
    return Fix(
        name="fstab-stable-names",
        reason="device names of VMware's in /etc/fstab do not exist on KVM, and the boot waits for them",
        families=LINUX_FAMILIES,
        plan=partial(_plan, mode),
    )


Outcome = tuple[Replacement, tuple[Finding, ...]]


def _plan(mode: FstabMode, guest: GuestReader, os: GuestOs) -> Planned:
    file = None if mode is FstabMode.NOOP else read_guest_text(guest, PATH)
    if file is None:
        return
    if isinstance(file, Finding):
        yield file
        return
    concerned = (entry for entry in fstab.entries(file.text) if _concerns(mode, entry))
    outcomes = {entry.line: _outcome(mode, os, entry) for entry in concerned}
    after = fstab.edit(file.text, {line: replacement for line, (replacement, _) in outcomes.items()})
    if after != file.text:
        yield with_text(file, after)
    yield from bounded((finding for _, findings in outcomes.values() for finding in findings), PATH)


def _concerns(mode: FstabMode, entry: Entry) -> bool:
    """Whether the entry names a device that this mode replaces, and is no CD-ROM drive."""
    types = entry.type.split(",")
    names = (entry.spec, *(device for _, device in _device_options(entry)))
    return not _OPTICAL.issuperset(types) and any(_is_ours(mode, name) for name in names)


def _is_ours(mode: FstabMode, name: str) -> bool:
    pseudo = name.startswith(_BTRFSVOL)
    hostile = pseudo or is_hostile(name)
    return hostile and (mode is FstabMode.STABILIZE_ALL or name.removeprefix(_BTRFSVOL).startswith(BY_PATH))


def _outcome(mode: FstabMode, os: GuestOs, entry: Entry) -> Outcome:
    spec, options, problems = entry.spec, entry.options, []
    if _is_ours(mode, entry.spec):
        match _stable_spec(os, entry):
            case NoStableName() as problem:
                problems.append((entry.spec, problem))
            case spec, options:
                pass
    options, more = _stable_options(mode, os, options)
    return Replacement(spec=spec, options=options), _findings(entry, (*problems, *more))


def _findings(entry: Entry, problems: tuple[tuple[str, NoStableName], ...]) -> tuple[Finding, ...]:
    if not problems:
        return ()
    where, level = f'line {entry.line} of "{PATH}"', _level(entry)
    distinct = dict.fromkeys(problems)
    return tuple(report(name, where, problem, prefix="fstab", level=level) for name, problem in distinct)


def _level(entry: Entry) -> Level:
    """An entry that cannot be mounted stops the boot, unless it says otherwise."""
    options = fstab.split_options(entry.options or "")
    if "noauto" in options:
        return Level.INFO
    return Level.WARNING if "nofail" in options else Level.ERROR


def _stable_spec(os: GuestOs, entry: Entry) -> tuple[str, str | None] | NoStableName:
    """The entry's first and fourth field."""
    if entry.spec.startswith(_BTRFSVOL):
        return _without_pseudo_spec(os, entry)
    found = find_stable_name(os, entry.spec, fits=partial(_agrees, entry.type), usable=_is_writable)
    return found if isinstance(found, NoStableName) else (found, entry.options)


def _agrees(written: str, filesystem: FileSystem) -> bool:
    """Whether an entry of type `written` can mean this file system."""
    types = written.split(",")
    if "auto" in types:
        return filesystem.type not in ("swap", "swsuspend")
    alike = next((group for group in _ALIKE if filesystem.type in group), {filesystem.type})
    return not alike.isdisjoint(types)


def _is_writable(name: str) -> bool:
    """Blanks are escaped; quotes would be taken for quotes (libblkid, blkid_parse_tag_string)."""
    return name.isprintable() and name.isascii() and not set(name) & set("\"'\\")


def _without_pseudo_spec(os: GuestOs, entry: Entry) -> tuple[str, str | None] | NoStableName:
    """`btrfsvol:/dev/sda2/@home` → `UUID=…` and `subvol=@home`."""
    found = _split_pseudo_spec(os, entry.spec)
    if found is None:
        return NoStableName(
            problem="unresolved-name", why="no file system of this machine answers to that name"
        )
    filesystem, subvolume = found
    name = stable_name_of(os, filesystem, fits=lambda each: each.type == "btrfs", usable=_is_writable)
    if isinstance(name, NoStableName):
        return name
    options = _with_subvolume(entry.options, subvolume)
    return options if isinstance(options, NoStableName) else (name, options)


def _split_pseudo_spec(os: GuestOs, spec: str) -> tuple[FileSystem, str] | None:
    """The device is the shortest leading part of the path that is one; the rest is the subvolume."""
    parts = spec.removeprefix(_BTRFSVOL).split("/", 8)
    by_device = {filesystem.device: filesystem for filesystem in os.names.filesystems}
    for count in range(3, len(parts) + 1):
        name = "/".join(parts[:count])
        filesystem = os.names.resolve(name) or (None if is_hostile(name) else by_device.get(name))
        if filesystem:
            return filesystem, "/".join(parts[count:])
    return None


def _with_subvolume(options: str | None, subvolume: str) -> str | NoStableName | None:
    """The options there are, and `subvol=` where they do not choose a subvolume yet."""
    present = fstab.split_options(options or "")
    chosen = [option.partition("=")[2] for option in present if option.startswith("subvol=")]
    if any(each.strip("/") != subvolume.strip("/") for each in chosen):
        return NoStableName(
            problem="contradicting-subvolume", why=f'its options choose the subvolume "{chosen[0]}" instead'
        )
    if chosen or not subvolume.strip("/") or any(option.startswith("subvolid=") for option in present):
        return options
    return f"{options},subvol={subvolume}" if options else f"subvol={subvolume}"


def _device_options(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Options whose value is a device: btrfs' `device=`, logs and journals kept elsewhere."""
    pairs = (option.partition("=") for option in fstab.split_options(entry.options or ""))
    return tuple((key, value) for key, _, value in pairs if key in _DEVICE_OPTIONS)


def _stable_options(
    mode: FstabMode, os: GuestOs, options: str | None
) -> tuple[str | None, list[tuple[str, NoStableName]]]:
    problems: list[tuple[str, NoStableName]] = []
    present = list(fstab.split_options(options or ""))
    for place, option in enumerate(present):
        key, _, device = option.partition("=")
        if key not in _DEVICE_OPTIONS or not _is_ours(mode, device):
            continue
        found = find_stable_name(os, device, fits=lambda _: True, usable=partial(_is_option_value, key))
        if isinstance(found, NoStableName):
            problems.append((device, found))
        else:
            present[place] = f"{key}={link_path(found)}"
    return (",".join(present) if options is not None else None), problems


def _is_option_value(key: str, name: str) -> bool:
    """Each device of a btrfs has the same UUID: only its partition tells it from the others."""
    return is_plain(name) and (key != "device" or name.startswith("PART"))
