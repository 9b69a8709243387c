"""DHCP leases that tell which card an interface was: by a client identifier made of its MAC.

dhclient.leases(5); NetworkManager's internal client keeps `CLIENTID=` in hexadecimal. Type 1 of RFC 2132,
9.14 is Ethernet; any other identifier tells no card. Read only.
"""

import re

from vmdk2kvm.formats.interface_names import parse_mac

_LEASE = re.compile(r'\binterface "([^"\n]{1,15})";')
_DHCLIENT = re.compile(r"\bdhcp-client-identifier (?:1|01):([0-9a-f:]{11,17});", re.IGNORECASE)
_INTERNAL = re.compile(r"^CLIENTID=01([0-9a-f]{12})$", re.IGNORECASE | re.MULTILINE)


def parse_dhclient(text: str) -> tuple[tuple[str, str], ...]:
    """Interfaces and MACs, each pair once."""
    pairs = (pair for block in text.split("}") for pair in _of_block(block))
    return tuple(dict.fromkeys(pairs))


def _of_block(block: str) -> list[tuple[str, str]]:
    name, identifier = _LEASE.search(block), _DHCLIENT.search(block)
    mac = parse_mac(identifier[1]) if identifier else None
    return [(name[1], mac)] if name and mac else []


def parse_internal(text: str) -> str | None:
    """The MAC of the card that NetworkManager's own client asked for; the file's name tells the interface."""
    found = _INTERNAL.search(text)
    return parse_mac(found[1]) if found else None
