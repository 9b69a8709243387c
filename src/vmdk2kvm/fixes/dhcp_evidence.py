"""Which MAC an interface had when it last asked for an address: leases that DHCP clients keep."""

import re
from collections.abc import Iterator

from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text
from vmdk2kvm.formats.dhcp_leases import parse_dhclient, parse_internal
from vmdk2kvm.guest.protocol import GuestReader

_DHCLIENT = (
    "/var/lib/dhcp/dhclient*.lease*",  # Debian, SUSE before wicked
    "/var/lib/dhclient/dhclient*.lease*",  # Red Hat
    "/var/lib/NetworkManager/dhclient-*.lease",
)
_INTERNAL = "/var/lib/NetworkManager/internal-*.lease"
_NAME = re.compile(r".*/internal-[0-9a-f-]{36}-(.{1,15})\.lease")
_MAX_FILES = 50
_MAX_BYTES = 256 << 10


def leases(guest: GuestReader) -> Iterator[tuple[str, str]]:
    """Interfaces and MACs. A lease that cannot be read tells nothing, as if it were not there."""
    dhclient = [path for pattern in _DHCLIENT for path in guest.glob(pattern)]
    for path in dhclient[:_MAX_FILES]:
        yield from parse_dhclient(_text(guest, path))
    for path in guest.glob(_INTERNAL)[:_MAX_FILES]:
        name = _NAME.fullmatch(path)
        mac = parse_internal(_text(guest, path)) if name else None
        if name and mac:
            yield name[1], mac


def _text(guest: GuestReader, path: str) -> str:
    found = read_guest_text(guest, path, limit_bytes=_MAX_BYTES)
    return found.text if isinstance(found, GuestText) else ""
