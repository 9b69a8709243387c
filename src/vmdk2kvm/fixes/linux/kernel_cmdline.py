"""The kernel finds its root and its resume device by name wherever GRUB 2 passes arguments.

grub.cfg is edited in place, never generated anew: what a generator writes depends on the machine
it runs on. The defaults are edited too, so that the next update-grub writes the same.
(Documentation/admin-guide/kernel-parameters; GRUB manual, "Simple configuration handling".)
"""

from collections.abc import Callable, Iterable

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_linked_text, unparsed, with_text
from vmdk2kvm.fixes.stable_names import NoStableName, bounded, find_stable_name, is_swap, report
from vmdk2kvm.formats import grub_config, grub_defaults, kernel_cmdline
from vmdk2kvm.formats.device_names import is_hostile, is_plain, link_path, stable_names, starts_hostile
from vmdk2kvm.formats.grub_defaults import Setting
from vmdk2kvm.formats.kernel_cmdline import Parameter
from vmdk2kvm.formats.spans import Span, splice
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, BootLoaderKind, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB

_LIMIT_BYTES = 4 * MIB  # a menu of snapshots grows large
_NEVER_ROOT = frozenset({"swap", "swsuspend", "LVM2_member", "crypto_LUKS", "linux_raid_member", "iso9660"})
_SPLIT = NoStableName(problem="split-by-quotes", why="quotes stand inside the name")
_NOT_EDITED = NoStableName(problem="other-argument", why="only root= and resume= are replaced")


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
        level = Level.ERROR if argument == "root=" else Level.WARNING
        self.findings[report(name, where, problem, prefix="kernel-cmdline", level=level)] = None


Editor = Callable[[_Edits], None]


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    for config in _grub_configs(guest, os):
        yield from _edited(os, config, _grub_config_edits)
    for path in ("/etc/default/grub", *guest.glob("/etc/default/grub.d/*.cfg")):
        yield from _edited(os, _read(guest, path), _grub_defaults_edits)
    yield from _edited(os, _read(guest, "/etc/kernel/cmdline"), _cmdline_edits)


KERNEL_CMDLINE_FIX = Fix(
    name="kernel-cmdline-stable-root",
    reason="a kernel told root=/dev/sda1 finds no root on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _grub_configs(guest: GuestReader, os: GuestOs) -> Iterable[GuestText | Finding]:
    """Each real file once: distributions link to grub.cfg from several places."""
    listed = (
        path for loader in os.boot_loaders if loader.kind is BootLoaderKind.GRUB2 for path in loader.files
    )
    found: dict[str, GuestText | Finding] = {}
    for path in listed:
        file = _read(guest, path) if path.endswith(".cfg") else None
        if file is not None:
            found[file.path if isinstance(file, GuestText) else file.message] = file
    return found.values()


def _read(guest: GuestReader, path: str) -> GuestText | Finding | None:
    return read_linked_text(guest, path, limit_bytes=_LIMIT_BYTES)


def _edited(os: GuestOs, file: GuestText | Finding | None, editor: Editor) -> Planned:
    if isinstance(file, GuestText):
        yield from _change(os, file, editor)
    elif file is not None:
        yield file


def _change(os: GuestOs, file: GuestText, editor: Editor) -> Planned:
    edits = _Edits(os, file)
    try:
        editor(edits)
    except GuestError as error:
        yield unparsed(file.path, error, prefix="kernel-cmdline", level=Level.ERROR)
        return
    after = splice(file.text, edits.replacements)
    if after != file.text:
        yield with_text(file, after)
    yield from bounded(edits.findings, file.path)


def _grub_config_edits(edits: _Edits) -> None:
    for command in grub_config.kernel_commands(edits.file.text):
        _edit_parameters(edits, command.parameters, has_initrd=command.has_initrd)


def _cmdline_edits(edits: _Edits) -> None:
    _edit_parameters(edits, tuple(kernel_cmdline.parameters(edits.file.text)), has_initrd=True)


def _grub_defaults_edits(edits: _Edits) -> None:
    for setting in grub_defaults.settings(edits.file.text):
        if setting.name == "GRUB_DEVICE" and is_hostile(setting.value):
            _edit_grub_device(edits, setting)
        elif setting.name == "GRUB_DISABLE_LINUX_UUID" and setting.value == "true":
            _enable_uuid(edits, setting)
        else:
            _edit_parameters(edits, setting.parameters, has_initrd=True)


def _edit_parameters(edits: _Edits, parameters: tuple[Parameter, ...], *, has_initrd: bool) -> None:
    """root= and resume= get a stable name; other hostile names are only reported."""
    swap_file = any(each.name == "resume_offset" for each in parameters)
    fits = {"root": _can_be_root, "resume": _can_be_root if swap_file else is_swap}
    usable = is_plain if has_initrd else _is_known_to_kernel
    for each in parameters:
        name = each.value or ""
        if each.name in fits and is_hostile(name):
            new = edits.stable_name(name, fits=fits[each.name], usable=usable)
            edits.replace(each.span, new, argument=f"{each.name}=", name=name)
        elif each.name not in fits and starts_hostile(name):
            edits.report(f"{each.name}=", name, _NOT_EDITED)


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
