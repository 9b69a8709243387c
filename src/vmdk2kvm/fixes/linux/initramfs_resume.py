"""initramfs-tools resumes from the device its RESUME names (initramfs-tools(7), initramfs.conf(5)).

The value is baked into the initramfs: one that is rebuilt takes the new name along.
"""

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_linked_text, unparsed, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, find_stable_name, is_swap, report
from vmdk2kvm.formats.device_names import is_hostile, is_plain
from vmdk2kvm.formats.shell_words import Assignment, assignments
from vmdk2kvm.formats.spans import Span, splice
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level

_CONF = "/etc/initramfs-tools/initramfs.conf"
_CONF_D = "/etc/initramfs-tools/conf.d/*"


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    for path in (_CONF, *guest.glob(_CONF_D)):
        file = read_linked_text(guest, path)
        if isinstance(file, GuestText):
            yield from _change(os, file)
        elif file is not None:
            yield file


INITRAMFS_RESUME_FIX = Fix(
    name="initramfs-resume",
    reason="an initramfs that waits for VMware's swap device delays every boot on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _change(os: GuestOs, file: GuestText) -> Planned:
    try:
        named = [each for each in assignments(file.text) if each.name == "RESUME" and is_hostile(each.value)]
    except GuestError as error:
        yield unparsed(file.path, error, prefix="resume", level=Level.WARNING)
        return
    replacements: dict[Span, str] = {}
    findings: list[Finding] = []
    for assignment in named:
        match _replacement(os, assignment):
            case NoStableName() as problem:
                where = f'RESUME in "{file.path}"'
                findings.append(
                    report(assignment.value, where, problem, prefix="resume", level=Level.WARNING)
                )
            case span, name:
                replacements[span] = name
    if replacements:
        yield with_text(file, splice(file.text, replacements))
    yield from bounded(findings, file.path)


def _replacement(os: GuestOs, assignment: Assignment) -> tuple[Span, str] | NoStableName:
    found = find_stable_name(os, assignment.value, fits=is_swap, usable=is_plain)
    if isinstance(found, NoStableName):
        return found
    span = assignment.locate(0, len(assignment.value))
    if span is None:
        return NoStableName(problem="split-by-quotes", why="quotes stand inside the name")
    return span, found
