"""Mount and swap units find their disk on KVM (systemd.mount(5), systemd.swap(5), systemd.device(5)).

What= gets a link below /dev/disk, and so do device units that other units wait for. A swap unit is called
after its device: it gets a new name, and the links that start it too. Automount units name no device.
"""

from collections.abc import Iterator

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_linked_text, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, find_stable_name, is_swap, report
from vmdk2kvm.formats import systemd_unit
from vmdk2kvm.formats.device_names import is_hostile, is_plain, link_path
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.spans import Span, splice
from vmdk2kvm.formats.systemd_unit import Setting, path_of, unit_name
from vmdk2kvm.guest.protocol import FileType, GuestReader
from vmdk2kvm.model.changes import MakeSymlink, RemoveFile, RemoveLink, WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level

FOLDER = "/etc/systemd/system"
_UNITS = (f"{FOLDER}/*.*", f"{FOLDER}/*.d/*.conf")
_LINKS = (f"{FOLDER}/*.wants", f"{FOLDER}/*.requires")
_SPLIT = NoStableName(problem="split-by-lines", why="it is written over several lines")


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    seen: set[str] = set()
    for path in (path for pattern in _UNITS for path in guest.glob(pattern)):
        file = _read(guest, path)
        if isinstance(file, Finding):
            yield file
        elif file is not None and file.path not in seen:
            seen.add(file.path)
            yield from _change(guest, os, file)


SYSTEMD_UNITS_FIX = Fix(
    name="systemd-units-stable-names",
    reason="a mount or swap unit with a device name of VMware's makes the boot wait for it in vain",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _read(guest: GuestReader, path: str) -> GuestText | Finding | None:
    """A unit that is masked leads to /dev/null, one that its package brings to /usr."""
    try:
        if guest.stat(path).type is FileType.DIRECTORY or guest.realpath(path).startswith(("/dev/", "/usr/")):
            return None
    except (FileNotFoundError, GuestError):  # a link that leads nowhere
        return None
    return read_linked_text(guest, path)


def _change(guest: GuestReader, os: GuestOs, file: GuestText) -> Planned:
    replacements: dict[Span, str] = {}
    findings: list[Finding] = []
    for name, span, found in _replacements(os, file.text):
        if isinstance(found, NoStableName) or span is None:
            problem = found if isinstance(found, NoStableName) else _SPLIT
            findings.append(
                report(name, f'"{file.path}"', problem, prefix="systemd-unit", level=Level.WARNING)
            )
        else:
            replacements[span] = found
    after = splice(file.text, replacements)
    swaps = [each.value for each in systemd_unit.devices(after) if each.section == "Swap" and each.span]
    if after != file.text and swaps and swaps[-1] in replacements.values():
        yield from _renamed(guest, file, after, swaps[-1])
    elif after != file.text:
        yield with_text(file, after)
    yield from bounded(findings, file.path)


def _replacements(os: GuestOs, text: str) -> Iterator[tuple[str, Span | None, str | NoStableName]]:
    """Each name of VMware's, where it is written and what takes its place."""
    for setting in systemd_unit.devices(text):
        if is_hostile(setting.value):
            yield setting.value, setting.span, _stable_path(os, setting)
    for unit, span in systemd_unit.waits_for(text):
        if is_hostile(path_of(unit)):
            yield path_of(unit), span, _stable_unit(os, unit)


def _stable_path(os: GuestOs, setting: Setting) -> str | NoStableName:
    fits = is_swap if setting.section == "Swap" else _is_mountable
    found = find_stable_name(os, setting.value, fits=fits, usable=is_plain)
    return found if isinstance(found, NoStableName) else link_path(found)


def _stable_unit(os: GuestOs, name: str) -> str | NoStableName:
    found = find_stable_name(os, path_of(name), fits=lambda _: True, usable=is_plain)
    return found if isinstance(found, NoStableName) else unit_name(link_path(found), "device")


def _is_mountable(filesystem: FileSystem) -> bool:
    return not is_swap(filesystem)


def _renamed(guest: GuestReader, file: GuestText, text: str, device: str) -> Planned:
    """A swap unit under the name that its new device asks for."""
    folder, _, old = file.path.rpartition("/")
    new = unit_name(device, "swap")
    if not old.endswith(".swap") or guest.exists(f"{folder}/{old}.d") or guest.exists(f"{folder}/{new}"):
        yield _not_renamed(file.path, new)
        return
    mode = guest.stat(file.path).mode
    yield RemoveFile(path=file.path, before=file.before)
    yield WriteFile(path=f"{folder}/{new}", before=None, after=_encoded(text), mode=mode)
    for path, target in _links_to(guest, old):
        yield RemoveLink(path=path, before=target)
        new_target = target.removesuffix(old) + new
        yield MakeSymlink(path=path.removesuffix(old) + new, before=None, target=new_target)


def _links_to(guest: GuestReader, unit: str) -> Iterator[tuple[str, str]]:
    """The links that start a unit, by whose name it is known."""
    for folder in (folder for pattern in _LINKS for folder in guest.glob(pattern)):
        try:
            target = guest.readlink(f"{folder}/{unit}")
        except (FileNotFoundError, GuestError):
            continue
        if target.endswith(f"/{unit}"):
            yield f"{folder}/{unit}", target


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _not_renamed(path: str, new: str) -> Finding:
    return Finding(
        id="systemd-swap-unit-not-renamed",
        level=Level.WARNING,
        message=visible(
            f'the swap unit "{path}" has to be called "{new}" on KVM, and something is in the way of that.'
        ),
        remedy="name the swap space by its UUID= in /etc/fstab, and disable the unit.",
    )
