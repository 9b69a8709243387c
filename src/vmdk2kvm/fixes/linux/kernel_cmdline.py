"""The kernel finds its root, encrypted volumes and resume device by name wherever a boot loader passes
arguments.

GRUB 2 (menus, boot entries, environment block), GRUB legacy, systemd-boot and extlinux are edited in
place, never generated anew: what a generator writes depends on the machine it runs on. The settings of
the generators are edited too, so that the next update writes the same. What is sealed in a unified kernel
image, or belongs to a loader that keeps its own copy, is reported.
(Documentation/admin-guide/kernel-parameters; formats/boot_files.py lists the files.)
"""

import re
from collections.abc import Callable, Iterator

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_linked_text, unparsed, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, find_stable_name, is_swap, report
from vmdk2kvm.fixes.unified_kernels import unified_kernels
from vmdk2kvm.formats import boot_files, crypt_arguments, grub_defaults, grubenv
from vmdk2kvm.formats.boot_files import GENERATOR_PATHS, Language, language_of
from vmdk2kvm.formats.device_names import is_hostile, is_plain, link_path, stable_names, starts_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.grub_defaults import Setting
from vmdk2kvm.formats.kernel_cmdline import Parameter
from vmdk2kvm.formats.spans import Span, splice
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB

_LIMIT_BYTES = 4 * MIB  # a menu of snapshots grows large
_NEVER_ROOT = frozenset({"swap", "swsuspend", "LVM2_member", "crypto_LUKS", "linux_raid_member", "iso9660"})
_END_A_BOOT = frozenset({"root=", "cryptdevice=", "cryptopts=", "cryptroot=", "crypt_root="})
_SPLIT = NoStableName(problem="split-by-quotes", why="quotes stand inside the name")
_NOT_EDITED = NoStableName(problem="other-argument", why="it is not replaced there")
_FOREIGN = NoStableName(problem="other-loader", why="its boot loader has to be run again to take up a change")
_WORD_ENDS = re.compile(r"""[\s"'=]+""")
_CONSOLES = re.compile(r"tty[0-9]*|ttyS0|ttyAMA0|null")  # what a machine on KVM has anyway


class _Edits:
    """What one file needs: replacements by place, and what could not be replaced."""

    def __init__(self, os: GuestOs, file: GuestText) -> None:
        self.os = os
        self.file = file
        self.replacements: dict[Span, str] = {}
        self.findings: dict[Finding, None] = {}  # in order, each once: a menu repeats its arguments
        self._known: dict[tuple[object, ...], str | NoStableName] = {}

    def stable_name(
        self, name: str, *, fits: Callable[[FileSystem], bool], usable: Callable[[str], bool]
    ) -> str | NoStableName:
        key = (name, fits, usable)
        if key not in self._known:
            self._known[key] = find_stable_name(self.os, name, fits=fits, usable=usable)
        return self._known[key]

    def replace(self, span: Span | None, new: str | NoStableName, *, argument: str, name: str) -> None:
        if isinstance(new, NoStableName):
            self.report(argument, name, new)
        elif span is None:
            self.report(argument, name, _SPLIT)
        else:
            self.replacements[span] = new

    def report(self, argument: str, name: str, problem: NoStableName) -> None:
        where = f'{argument} in "{self.file.path}"'
        level = Level.ERROR if argument in _END_A_BOOT else Level.WARNING
        self.findings[report(name, where, problem, prefix="kernel-cmdline", level=level)] = None


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    for file, language in _files(guest, os):
        yield from _change(os, file, language)
    yield from unified_kernels(guest, os)


KERNEL_CMDLINE_FIX = Fix(
    name="kernel-cmdline-stable-root",
    reason="a kernel told root=/dev/sda1 finds no root on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _files(guest: GuestReader, os: GuestOs) -> Iterator[tuple[GuestText | Finding, Language]]:
    """Each real file once: distributions link to grub.cfg from several places."""
    listed = [path for loader in os.boot_loaders for path in loader.files]
    listed += [path for pattern in GENERATOR_PATHS for path in guest.glob(pattern)]
    seen: set[str] = set()
    for path in listed:
        language = language_of(path)
        file = read_linked_text(guest, path, limit_bytes=_LIMIT_BYTES) if language else None
        if language is None or file is None:
            continue
        name = file.path if isinstance(file, GuestText) else file.message
        if name not in seen:
            seen.add(name)
            yield file, language


def _change(os: GuestOs, file: GuestText | Finding, language: Language) -> Planned:
    if isinstance(file, Finding):
        yield file
        return
    edits = _Edits(os, file)
    try:
        _edit(edits, language)
        after = splice(file.text, edits.replacements)
        if language is Language.GRUB_ENVIRONMENT:
            after = grubenv.with_size(after, len(file.before))
    except GuestError as error:
        yield unparsed(file.path, error, prefix="kernel-cmdline", level=Level.ERROR)
        return
    if after != file.text:
        yield with_text(file, after)
    yield from bounded(edits.findings, file.path)


def _edit(edits: _Edits, language: Language) -> None:
    if language is Language.FOREIGN:
        _report_foreign(edits)
        return
    for given in boot_files.arguments(language, edits.file.text):
        _edit_parameters(edits, given.parameters, has_initrd=given.has_initrd)
    if language is Language.SETTINGS:
        for setting in grub_defaults.settings(edits.file.text):
            _edit_setting(edits, setting)


def _report_foreign(edits: _Edits) -> None:
    for word in _WORD_ENDS.split(edits.file.text):
        if is_hostile(word):
            edits.report("a setting", word, _FOREIGN)


def _edit_setting(edits: _Edits, setting: Setting) -> None:
    if setting.name == "GRUB_DISABLE_LINUX_UUID" and setting.value == "true":
        _enable_uuid(edits, setting)
    elif setting.name == "GRUB_DEVICE" and is_hostile(setting.value):
        _edit_grub_device(edits, setting)
    elif setting.name == "root" and is_hostile(setting.value):  # Alpine's update-extlinux.conf
        new = edits.stable_name(setting.value, fits=_can_be_root, usable=is_plain)
        edits.replace(setting.span, new, argument="root=", name=setting.value)
    elif setting.name == "boot" and is_hostile(setting.value):  # where grubby of RHEL 6 looks for GRUB
        edits.report("boot=", setting.value, _NOT_EDITED)


def _edit_parameters(edits: _Edits, parameters: tuple[Parameter, ...], *, has_initrd: bool) -> None:
    """root=, resume= and devices of encrypted volumes get a stable name; other hostile names are only
    reported."""
    swap_file = any(each.name == "resume_offset" for each in parameters)
    fits = {"root": _can_be_root, "resume": _can_be_root if swap_file else is_swap}
    usable = is_plain if has_initrd else _is_known_to_kernel
    for each in parameters:
        name = each.value or ""
        if _edit_encryption(edits, each):
            continue
        if each.name in fits and is_hostile(name):
            new = edits.stable_name(name, fits=fits[each.name], usable=usable)
            edits.replace(each.span, new, argument=f"{each.name}=", name=name)
        elif each.name not in fits and _names_disk(name):
            edits.report(f"{each.name}=", name, _NOT_EDITED)
        elif each.name == "console" and not _CONSOLES.fullmatch(name.partition(",")[0]):
            edits.findings[_console(edits.file.path, name)] = None


def _edit_encryption(edits: _Edits, parameter: Parameter) -> bool:
    """Whether the argument names a device of VMware's for an encrypted volume; that gets a stable name."""
    argument, value, span = f"{parameter.name}=", parameter.value or "", parameter.span
    named = crypt_arguments.named_device(parameter.name, value)
    if named is None or not is_hostile(named.name):
        others = [word for word in crypt_arguments.words(parameter.name, value) if is_hostile(word)]
        for word in others:
            edits.report(argument, word, _NOT_EDITED)
        return bool(others)
    fits = _is_luks if named.is_volume else _can_be_root
    new = edits.stable_name(named.name, fits=fits, usable=is_plain)
    is_verbatim = span is not None and span.end - span.start == len(value)
    start = span.start + named.start if span is not None else 0
    place = Span(start, start + len(named.name)) if is_verbatim else None
    edits.replace(place, new, argument=argument, name=named.name)
    return True


def _names_disk(value: str) -> bool:
    """As the only thing, the first of several, or one in a list ("md=0,/dev/sda1,/dev/sdb1")."""
    return starts_hostile(value) or any(map(is_hostile, value.split(",")))


def _is_luks(filesystem: FileSystem) -> bool:
    return filesystem.type == "crypto_LUKS"


def _is_known_to_kernel(name: str) -> bool:
    """Without an initramfs the kernel itself looks for its root (init/do_mounts.c): partitions only."""
    return is_plain(name) and name.startswith("PARTUUID=")


def _can_be_root(filesystem: FileSystem) -> bool:
    return filesystem.type not in _NEVER_ROOT


def _edit_grub_device(edits: _Edits, setting: Setting) -> None:
    """grub-mkconfig hands GRUB_DEVICE to grub-probe, which takes a path and no tag."""
    found = edits.stable_name(setting.value, fits=_can_be_root, usable=is_plain)
    new = found if isinstance(found, NoStableName) else link_path(found)
    edits.replace(setting.span, new, argument=setting.name, name=setting.value)


def _enable_uuid(edits: _Edits, setting: Setting) -> None:
    """Else the next update-grub writes the name the kernel gives the root today."""
    root = _root_filesystem(edits.os)
    if root is not None and root.disk is None:
        return  # LVM, md: the name update-grub then writes is stable
    new: str | NoStableName = "false"
    if root is not None and not any(
        name.startswith("UUID=") for name in stable_names(root, edits.os.names.filesystems)
    ):
        new = NoStableName(problem="no-stable-name", why="the root file system has no UUID of its own")
    edits.replace(setting.span, new, argument=setting.name, name=setting.value)


def _root_filesystem(os: GuestOs) -> FileSystem | None:
    device = next((mount.device for mount in os.mounts if mount.mountpoint == "/"), None)
    return next((each for each in os.names.filesystems if each.device == device), None)


def _console(path: str, name: str) -> Finding:
    return Finding(
        id="kernel-cmdline-console",
        level=Level.INFO,
        message=visible(f'console={name} in "{path}" names a console that a machine on KVM need not have.'),
        remedy="give the domain that device, or write console=ttyS0 or console=tty0 in the guest.",
    )
