"""A guest's network configuration, whichever program of it reads that: which interfaces it is about.

Files of a program that is not installed say nothing. What cannot be read is a finding.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.guest_text import GuestText, read_linked_text
from vmdk2kvm.formats import ifcfg, interfaces, netplan, networkd, nm_keyfile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.interface_names import is_plain, is_software_name
from vmdk2kvm.formats.interfaces import InterfacesFile
from vmdk2kvm.guest.protocol import FileType, GuestReader
from vmdk2kvm.model.network import Interface
from vmdk2kvm.model.report import Finding, Level

OUR_LINK = "/etc/systemd/network/10-vmdk2kvm-{name}.link"
_MAX_FILES = 500
_MAX_PATTERNS = 100  # of `source` lines, in all files together
_MAX_NAMES = 64
_MAX_BYTES = 256 << 10  # of one file
_MAX_ALL_BYTES = 4 << 20
_INTERFACES = "/etc/network/interfaces"
_LEFT_BEHIND = re.compile(r".*(?:~|,v|\.(?:bak|orig|old|save|swp|rpmnew|rpmsave|rpmorig|dpkg-\w+))")
_RUN_PARTS = re.compile(r"[A-Za-z0-9_-]+")  # what `source-directory` takes
Parser = Callable[[str, str], tuple[Interface, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the file at `path` says of one interface."""

    path: str
    interface: Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFiles:
    said: tuple[Said, ...]
    findings: tuple[Finding, ...]

    def card_names(self) -> tuple[str, ...]:
        """The names that belong to network cards, in the order they are met: no bond, bridge or VLAN."""
        made = {one.interface.name for one in self.said if one.interface.virtual}
        named = (
            name
            for one in self.said
            for name in (one.interface.below if one.interface.virtual else (one.interface.name,))
        )
        cards = (name for name in named if name and is_plain(name) and name not in made)
        return tuple(dict.fromkeys(name for name in cards if not is_software_name(name)))[:_MAX_NAMES]

    def starts(self, name: str) -> bool:
        """Whether `name`, or what stands on it, is brought up at boot."""
        about = (
            one.interface for one in self.said if one.interface.name == name or name in one.interface.below
        )
        return any(interface.starts for interface in about)

    def path_of(self, name: str) -> str:
        """The first file that speaks of `name`."""
        return next(
            one.path for one in self.said if one.interface.name == name or name in one.interface.below
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stack:
    """One of `programs` reads the files that `patterns` match."""

    programs: tuple[str, ...]
    patterns: tuple[str, ...]
    parse: Parser


def _parse_ifcfg(is_suse: bool, path: str, text: str) -> tuple[Interface, ...]:
    return ifcfg.parse(text, path.rpartition("/ifcfg-")[2], is_suse=is_suse)


def _parse_networkd(path: str, text: str) -> tuple[Interface, ...]:
    return networkd.parse_netdev(text) if path.endswith(".netdev") else networkd.parse_network(text)


_NETWORK_MANAGER = ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager", "/sbin/NetworkManager")
_STACKS = (
    _Stack(
        programs=(*_NETWORK_MANAGER, "/etc/sysconfig/network-scripts/ifup-eth", "/etc/init.d/network"),
        patterns=("/etc/sysconfig/network-scripts/ifcfg-*",),
        parse=partial(_parse_ifcfg, False),
    ),
    _Stack(
        programs=("/usr/sbin/wicked", "/sbin/ifup", "/usr/sbin/ifup", "/etc/init.d/network"),
        patterns=("/etc/sysconfig/network/ifcfg-*",),
        parse=partial(_parse_ifcfg, True),
    ),
    _Stack(
        programs=_NETWORK_MANAGER,
        patterns=("/etc/NetworkManager/system-connections/*",),
        parse=lambda _, text: nm_keyfile.parse(text),
    ),
    _Stack(
        programs=("/usr/sbin/netplan", "/usr/libexec/netplan/generate", "/lib/netplan/generate"),
        patterns=("/etc/netplan/*.yaml", "/usr/lib/netplan/*.yaml", "/lib/netplan/*.yaml"),
        parse=lambda _, text: netplan.parse(text),
    ),
    _Stack(
        programs=("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"),
        patterns=("/etc/systemd/network/*.network", "/etc/systemd/network/*.netdev"),
        parse=_parse_networkd,
    ),
)
_IFUPDOWN = ("/sbin/ifup", "/usr/sbin/ifup")


def read_network_files(guest: GuestReader) -> NetworkFiles:
    reading = _Reading(guest)
    if any(map(guest.exists, _IFUPDOWN)):
        reading.read_interfaces()
    for stack in _STACKS:
        if any(map(guest.exists, stack.programs)):
            for path in _paths(guest, stack.patterns):
                reading.read(path, stack.parse)
    return NetworkFiles(said=tuple(reading.said), findings=tuple(reading.findings))


def read_link_files(guest: GuestReader) -> NetworkFiles:
    """.link files that give names, those of ours left out."""
    reading = _Reading(guest)
    ours = OUR_LINK.partition("{")[0]
    for path in guest.glob("/etc/systemd/network/*.link"):
        if not path.startswith(ours):
            reading.read(path, lambda _, text: networkd.parse_link(text))
    return NetworkFiles(said=tuple(reading.said), findings=tuple(reading.findings))


def _paths(guest: GuestReader, patterns: tuple[str, ...]) -> Iterator[str]:
    """One file of each name: /etc comes before /usr/lib."""
    seen: set[str] = set()
    for path in (path for pattern in patterns for path in guest.glob(pattern)):
        name = path.rpartition("/")[2]
        if name not in seen and not _LEFT_BEHIND.fullmatch(name) and name != "ifcfg-lo":
            yield path
        seen.add(name)


@dataclass(slots=True)
class _Reading:
    guest: GuestReader
    said: list[Said] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 0

    def read(self, path: str, parse: Parser) -> None:
        try:
            text = self._text(path)
            found = () if text is None else parse(path, text)
        except GuestError as error:
            self.findings.append(_unread(path, error))
            return
        self.said.extend(Said(path=path, interface=interface) for interface in found)

    def read_interfaces(self) -> None:
        """/etc/network/interfaces and all it draws in."""
        files: dict[str, InterfacesFile] = {}
        patterns: set[tuple[str, bool]] = set()
        open_ends = [_INTERFACES]
        while open_ends:
            path = open_ends.pop(0)
            text = self._text(path)
            if text is None:
                continue
            files[path] = interfaces.parse(text)
            new = [one for one in dict.fromkeys(_patterns(files[path])) if one not in patterns]
            new = new[: max(0, _MAX_PATTERNS - len(patterns))]
            patterns.update(new)
            drawn_in = [one for pattern in new for one in _matching(self.guest, *pattern)]
            open_ends += [one for one in dict.fromkeys(drawn_in) if one not in {*files, *open_ends}]
        for path, file in files.items():
            found = interfaces.interfaces(file.stanzas, tuple(files.values()))
            self.said.extend(Said(path=path, interface=interface) for interface in found)

    def _text(self, path: str) -> str | None:
        """None for what is masked, cannot be read, or is too much."""
        if _is_masked(self.guest, path):
            return None
        self.files += 1
        if self.files > _MAX_FILES or self.size_bytes > _MAX_ALL_BYTES:
            self.findings.append(_too_much(path))
            return None
        found = read_linked_text(self.guest, path, limit_bytes=_MAX_BYTES)
        if isinstance(found, Finding):
            self.findings.append(found)
        if not isinstance(found, GuestText):
            return None
        self.size_bytes += len(found.before)
        return found.text


def _patterns(file: InterfacesFile) -> Iterator[tuple[str, bool]]:
    """What `source` names (a pattern) and `source-directory` (True), relative to /etc/network."""
    written = [*((one, False) for one in file.sources), *((one, True) for one in file.folders)]
    for name, is_folder in written:
        whole = name if name.startswith("/") else f"/etc/network/{name}"
        if ".." not in whole.split("/"):
            yield (f"{whole.rstrip('/')}/*" if is_folder else whole), is_folder


def _matching(guest: GuestReader, pattern: str, is_folder: bool) -> list[str]:
    """A folder gives the files with names as run-parts(8) takes them."""
    paths = guest.glob(pattern)
    return [path for path in paths if not is_folder or _RUN_PARTS.fullmatch(path.rpartition("/")[2])]


def _is_masked(guest: GuestReader, path: str) -> bool:
    """A link to /dev/null takes the place of a file that is not to be read."""
    try:
        return guest.stat(path).type is FileType.SYMLINK and guest.readlink(path) == "/dev/null"
    except (FileNotFoundError, GuestError):
        return False


def _too_much(path: str) -> Finding:
    return Finding(
        id="network-files-cut-off",
        level=Level.WARNING,
        message=f'"{visible(path)}" in the guest was not read: its network configuration is too large.',
        remedy="look at the folder in the guest.",
    )


def _unread(path: str, error: GuestError) -> Finding:
    return Finding(
        id="network-file-unread",
        level=Level.WARNING,
        message=f'"{visible(path)}" in the guest was not understood: {error.message}',
        remedy="check after the move that its interfaces have their addresses, or tell them with nics:.",
    )
