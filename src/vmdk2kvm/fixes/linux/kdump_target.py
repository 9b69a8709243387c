"""kdump finds the disk a crash dump goes to (kdump.conf(5) of the Red Hat family).

kdump builds its own initramfs anew when that file changed.
"""

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import read_guest_text, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, report, stable_name_of
from vmdk2kvm.formats import kdump_conf
from vmdk2kvm.formats.device_names import is_hostile, is_plain, link_path
from vmdk2kvm.formats.kdump_conf import Target
from vmdk2kvm.formats.spans import Span
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level

PATH = "/etc/kdump.conf"
_ALIKE = frozenset({"ext2", "ext3", "ext4"})


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    file = read_guest_text(guest, PATH)
    if file is None:
        return
    if isinstance(file, Finding):
        yield file
        return
    devices: dict[Span, str] = {}
    findings: list[Finding] = []
    for target in kdump_conf.targets(file.text):
        if not is_hostile(target.device):
            continue
        found = _stable_device(os, target)
        if isinstance(found, NoStableName):
            findings.append(report(target.device, f'"{PATH}"', found, prefix="kdump", level=Level.WARNING))
        else:
            devices[target.span] = found
    if devices:
        yield with_text(file, kdump_conf.edit(file.text, devices))
    yield from bounded(findings, PATH)


KDUMP_TARGET_FIX = Fix(
    name="kdump-stable-target",
    reason="a crash dump to a disk of VMware's name is lost on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _stable_device(os: GuestOs, target: Target) -> str | NoStableName:
    device = os.names.resolve_any(target.device)
    if device is None:
        return NoStableName(
            problem="unresolved-name", why="no partition of this machine answers to that name"
        )
    if target.type is None:  # what a dump overwrites has no name but its partition's
        found = stable_name_of(os, device, fits=_is_bare, usable=_is_of_partition)
        return found if isinstance(found, NoStableName) else link_path(found)
    return stable_name_of(os, device, fits=lambda each: _agrees(target, each), usable=is_plain)


def _agrees(target: Target, filesystem: FileSystem) -> bool:
    return filesystem.type == target.type or {filesystem.type, target.type} <= _ALIKE


def _is_bare(filesystem: FileSystem) -> bool:
    """A dump to a bare device destroys what is on it: nobody means a file system."""
    return not filesystem.type


def _is_of_partition(name: str) -> bool:
    return is_plain(name) and name.startswith("PART")
