"""VMware's tools as installed software: the packages of each family, and the tarball of VMware's own.

Nothing but the tools is removed: a package that another one needs stays. Each command works without a
network, and where it fails the guest keeps the tools, which do nothing on KVM.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, with_text
from vmdk2kvm.fixes.vmware_leftovers import ASK, Leftover
from vmdk2kvm.formats import vmware_locations
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.package_lists import Package, parse_apk, parse_dpkg, removable
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import Change, RunCommand
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB

Remove = Callable[[GuestReader, list[str]], RunCommand]
LOCATIONS = "/etc/vmware-tools/locations"
DAEMON = "/usr/bin/vmtoolsd"
_DAEMONS = (DAEMON, "/usr/sbin/vmtoolsd")
_DPKG = "/var/lib/dpkg"
_APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
_PACMAN = "/var/lib/pacman/local/open-vm-tools-[0-9]*"
_LIST_LIMIT_BYTES = 15 * MIB
_MOST_PATHS = 1000
# A list is a stranger's: of it only paths that can be nobody else's are announced.
_TOOL_PATH = re.compile(r"vmware|vmtool|vmhgfs|vmblock|vgauth|guestlib|libhgfs|DeployPkg|open-vm-|vm-support")
_VMWARES = re.compile(r"(?:open-vm-|vmware-tools)[a-z0-9+.-]*")
_TEMPORARY = (
    "/tmp/",
    "/run/",
    "/var/tmp/",
    "/var/log/",
    "/var/cache/debconf/",
    "/var/cache/ldconfig/",
    "/etc/ld.so.cache",
)
_UNITS = tuple(
    f"/etc/systemd/system/{folder}{unit}"
    for folder in ("", "multi-user.target.wants/")
    for unit in ("open-vm-tools", "vmtoolsd", "vgauth", "run-vmblock", "vmware-tools")
)
_SCRIPTS = (
    *("/etc/init.d/vmware-tools", "/etc/init.d/open-vm-tools", "/etc/runlevels/default/open-vm-tools"),
    *(f"/etc/rc{level}.d/" + start for level in (*range(7), "S") for start in "SK"),
)
_FILES = (
    *("/etc/vmware-tools/", "/etc/pam.d/vmtoolsd", *_SCRIPTS, *_UNITS),
    *("/usr/bin/vm", "/usr/sbin/vm", "/sbin/mount.vm", "/usr/sbin/mount.vm", "/usr/lib/open-vm-tools/"),
    *("/usr/lib64/open-vm-tools/", "/usr/lib/vmware-", "/usr/lib/vmware-tools/", "/usr/share/open-vm-tools/"),
    *("/usr/lib/udev/rules.d/99-vmware", "/lib/udev/rules.d/99-vmware"),
)
# Whatever rpm calls them; it refuses, as a whole, where another package needs one.
RPM_SCRIPT = (
    "names=$(rpm -qa --qf '%{NAME} ' 'open-vm-tools*' VMwareTools 'vmware-tools-*' 'kmod-vmware-tools*') "
    '&& [ -n "$names" ] && rpm -e $names'
)


def tools(guest: GuestReader) -> Iterator[Leftover]:
    """At most one of the two, as VMware's installer has it."""
    locations = read_guest_text(guest, LOCATIONS)
    if isinstance(locations, GuestText):
        yield _tarball(guest, locations)
        return
    known = list(_by_lists(guest))
    yield from known
    if not known:
        yield from _by_files(guest)


def _by_lists(guest: GuestReader) -> Iterator[Leftover]:
    status = _list(guest, f"{_DPKG}/status")
    if status is not None:
        yield from _of_lists(guest, parse_dpkg(status), _dpkg)
    for path in _APK:
        installed = _list(guest, path)
        if installed is not None:
            yield from _of_lists(guest, parse_apk(installed), _apk)


def _of_lists(guest: GuestReader, packages: tuple[Package, ...], remove: Remove) -> Iterator[Leftover]:
    installed = frozenset(package.name for package in packages if _is_of_vmware(package.name))
    going, kept = removable(packages, installed)
    if going:
        names = ", ".join(f'"{visible(name)}"' for name in sorted(going))
        yield Leftover(changes=(remove(guest, sorted(going)),), finding=_present(f"the packages {names}"))
    for name, needed_by in sorted(kept.items()):
        yield Leftover(changes=(), finding=_kept(name, needed_by))


def _is_of_vmware(name: str) -> bool:
    return _VMWARES.fullmatch(name) is not None


def _dpkg(guest: GuestReader, names: list[str]) -> RunCommand:
    """Not apt-get, which removes what needs them, too."""
    lists = [path for name in names for path in _list_files(guest, name)]
    return RunCommand(
        argv=("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--purge", *names),
        done_when=f"{_DPKG}/status",
        gone=tuple(lists),
        may_write=(f"{_DPKG}/", "/var/lib/systemd/", *_TEMPORARY),
        may_remove=(*_paths_of(guest, lists), f"{_DPKG}/info/open-vm-", *_FILES),
        optional=True,
    )


def _list_files(guest: GuestReader, name: str) -> tuple[str, ...]:
    """`NAME.list`, or `NAME:ARCH.list`."""
    return (*guest.glob(f"{_DPKG}/info/{name}.list"), *guest.glob(f"{_DPKG}/info/{name}:*.list"))


def _paths_of(guest: GuestReader, lists: list[str]) -> tuple[str, ...]:
    """The files in lists that name the folders on the way, too."""
    texts = (file.text for path in lists if isinstance(file := read_guest_text(guest, path), GuestText))
    paths = {line for text in texts for line in text.split("\n")}
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return tuple(sorted(filter(_is_tool_path, paths - folders)))[:_MOST_PATHS]


def _is_tool_path(path: str) -> bool:
    return path.startswith("/") and _TOOL_PATH.search(path) is not None


def _apk(guest: GuestReader, names: list[str]) -> RunCommand:
    del guest
    return RunCommand(
        argv=("apk", "del", "--no-network", *names),
        done_when=None,
        gone=_DAEMONS,
        may_write=("/etc/apk/world", "/lib/apk/", "/usr/lib/apk/", *_TEMPORARY),
        may_remove=_FILES,
        optional=True,
    )


def _by_files(guest: GuestReader) -> Iterator[Leftover]:
    """Where no list can be read, the daemon says that the tools are there."""
    found = [path for path in _DAEMONS if guest.exists(path)]
    if not found:
        return
    argv: tuple[str, ...]
    databases: tuple[str, ...]
    if guest.glob(_PACMAN):
        argv, databases = ("pacman", "-R", "--noconfirm", "open-vm-tools"), ("/var/lib/pacman/",)
    elif any(map(guest.exists, _RPM)):
        argv, databases = ("sh", "-c", RPM_SCRIPT), ("/var/lib/rpm/", "/usr/lib/sysimage/rpm/")
    else:
        yield Leftover(changes=(), finding=_unknown(found[0]))
        return
    change = RunCommand(
        argv=argv,
        done_when=None,
        gone=tuple(found),
        may_write=(*databases, *_TEMPORARY),
        may_remove=_FILES,
        optional=True,
    )
    yield Leftover(changes=(change,), finding=_present(f'"{found[0]}"'))


def _tarball(guest: GuestReader, file: GuestText) -> Leftover:
    folder = vmware_locations.answers(file.text).get("BINDIR", "/usr/bin")
    program = f"{folder}/vmware-uninstall-tools.pl"
    if not folder.startswith("/") or not guest.exists(program):
        return Leftover(changes=(), finding=_no_uninstaller(program))
    quiet = vmware_locations.without_ramdisk_restore(file.text)
    edits: tuple[Change, ...] = (with_text(file, quiet),) if quiet != file.text else ()
    files = tuple(filter(_is_tool_path, vmware_locations.files(file.text)))[:_MOST_PATHS]
    command = RunCommand(
        argv=(program,),
        done_when=None,
        gone=(LOCATIONS,),
        may_write=("/lib/modules/", "/usr/lib/modules/", "/etc/X11/xorg.conf", *_TEMPORARY),
        may_remove=(*files, *_FILES),
        optional=True,
    )
    return Leftover(changes=(*edits, command), finding=_present(f'the tarball\'s "{visible(program)}"'))


def _list(guest: GuestReader, path: str) -> str | None:
    file = read_guest_text(guest, path, limit_bytes=_LIST_LIMIT_BYTES)
    return file.text if isinstance(file, GuestText) else None


def _present(what: str) -> Finding:
    return Finding(
        id="vmware-tools-installed",
        level=Level.INFO,
        message=f"VMware's tools are installed ({what}); on KVM they do nothing.",
        remedy=ASK,
    )


def _kept(name: str, needed_by: str) -> Finding:
    return Finding(
        id="vmware-tools-needed",
        level=Level.INFO,
        message=f'"{visible(name)}" stays: the package "{visible(needed_by)}" needs it.',
        remedy="nothing: its service starts on VMware only; remove both in the guest if neither is wanted.",
    )


def _unknown(path: str) -> Finding:
    return Finding(
        id="vmware-tools-unknown-package",
        level=Level.WARNING,
        message=f'"{visible(path)}" belongs to VMware\'s tools, and what installed it is not known.',
        remedy="remove the tools in the guest with what installed them; on KVM they do nothing.",
    )


def _no_uninstaller(program: str) -> Finding:
    return Finding(
        id="vmware-tools-no-uninstaller",
        level=Level.WARNING,
        message=f'"{LOCATIONS}" tells of VMware\'s tools; their uninstaller "{visible(program)}" is gone.',
        remedy="remove them in the guest with the installer they came with; on KVM they do nothing.",
    )
