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
_MAX_NAMES = 64
_LIMIT_BYTES = 256 << 10
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
        programs=("/usr/sbin/netplan", "/usr/lib/netplan/generate", "/lib/netplan/generate"),
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
        open_ends = [_INTERFACES]
        while open_ends:
            path = open_ends.pop(0)
            text = self._text(path) if path not in files else None
            if text is not None:
                files[path] = interfaces.parse(text)
                open_ends += _drawn_in(self.guest, files[path])
        whole = tuple(files.values())
        for path, file in files.items():
            found = interfaces.interfaces(file.stanzas, whole)
            self.said.extend(Said(path=path, interface=interface) for interface in found)

    def _text(self, path: str) -> str | None:
        """None for what is masked, no file, or one too many."""
        self.files += 1
        if self.files > _MAX_FILES or _is_masked(self.guest, path):
            return None
        found = read_linked_text(self.guest, path, limit_bytes=_LIMIT_BYTES)
        if isinstance(found, Finding):
            self.findings.append(found)
        return found.text if isinstance(found, GuestText) else None


def _drawn_in(guest: GuestReader, file: InterfacesFile) -> list[str]:
    """Files named by `source` (a pattern) and `source-directory`, relative to /etc/network."""
    sources = [path for pattern in file.sources for path in _glob(guest, pattern)]
    inside = [path for folder in file.folders for path in _glob(guest, folder.rstrip("/") + "/*")]
    return [*sources, *(path for path in inside if _RUN_PARTS.fullmatch(path.rpartition("/")[2]))]


def _glob(guest: GuestReader, pattern: str) -> tuple[str, ...]:
    whole = pattern if pattern.startswith("/") else f"/etc/network/{pattern}"
    return guest.glob(whole) if ".." not in whole.split("/") else ()


def _is_masked(guest: GuestReader, path: str) -> bool:
    """A link to /dev/null takes the place of a file that is not to be read."""
    try:
        return guest.stat(path).type is FileType.SYMLINK and guest.readlink(path) == "/dev/null"
    except (FileNotFoundError, GuestError):
        return False


def _unread(path: str, error: GuestError) -> Finding:
    return Finding(
        id="network-file-unread",
        level=Level.WARNING,
        message=f'"{visible(path)}" in the guest was not understood: {error.message}',
        remedy="check after the move that its interfaces have their addresses, or tell them with nics:.",
    )
