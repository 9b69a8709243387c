"""systemd.network(5), systemd.netdev(5) and systemd.link(5): reading them, and writing a .link file."""

from fnmatch import fnmatchcase

from vmdk2kvm.formats import ini_sections
from vmdk2kvm.formats.ini_sections import Section, named
from vmdk2kvm.formats.interface_names import is_plain, parse_mac
from vmdk2kvm.model.network import Interface

_ADDRESSES = ("MACAddress", "PermanentMACAddress")


def parse_network(text: str) -> tuple[Interface, ...]:
    """A .network file: the interfaces it names, or one without a name for any it matches otherwise."""
    match = _match(text)
    names = [name for name in match.words("Name") if is_plain(name)]
    inverted = match.words("Name")[:1] and match.words("Name")[0].startswith("!")
    macs, hardware = _macs(match), _hardware(match)
    if not names or inverted:
        return tuple(Interface(name=None, mac=mac, hardware=hardware) for mac in (macs or (None,)))
    mac = macs[0] if len(macs) == 1 and len(names) == 1 else None
    return tuple(Interface(name=name, mac=mac, hardware=hardware) for name in names)


def parse_netdev(text: str) -> tuple[Interface, ...]:
    """A .netdev file: one interface made by software."""
    name = named(ini_sections.parse(text), "NetDev").last("Name")
    return (Interface(name=name, virtual=True),) if name else ()


def parse_link(text: str) -> tuple[Interface, ...]:
    """A .link file that gives a name, tied to a MAC or to what only VMware has; () for any other."""
    match = _match(text)
    name = named(ini_sections.parse(text), "Link").last("Name")
    if not name or not is_plain(name):
        return ()
    macs, hardware = _macs(match), _hardware(match)
    mac = macs[0] if len(macs) == 1 else None
    return (Interface(name=name, mac=mac, hardware=hardware, is_tied=mac is not None and hardware is None),)


def render_link(name: str, *, mac: str | None, drivers: str, by_permanent_mac: bool) -> str:
    """A .link file that calls the card with `mac`, or the one that `drivers` drives, `name`."""
    key = "PermanentMACAddress" if by_permanent_mac else "MACAddress"
    match = f"{key}={mac}" if mac else f"Driver={drivers}"
    return f"[Match]\n{match}\n\n[Link]\nName={name}\n"


def _match(text: str) -> Section:
    return named(ini_sections.parse(text), "Match")


def _macs(match: Section) -> tuple[str, ...]:
    words = (word for key in _ADDRESSES for word in match.words(key))
    return tuple(dict.fromkeys(mac for word in words if (mac := parse_mac(word))))


def _hardware(match: Section) -> str | None:
    """What of the match no card of KVM fulfils: VMware's drivers and slots."""
    drivers = match.words("Driver")
    if drivers and not any(fnmatchcase("virtio_net", driver) for driver in drivers):
        return drivers[0]
    paths = [path for path in match.words("Path") if not path.endswith("pci-*")]
    return paths[0] if paths else None
