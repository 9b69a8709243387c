"""NetworkManager's connection profiles: nm-settings-keyfile(5). Read only."""

from vmdk2kvm.formats import ini_sections
from vmdk2kvm.formats.ini_sections import Section, named
from vmdk2kvm.formats.interface_names import is_plain, parse_mac
from vmdk2kvm.model.network import Interface

_ETHERNET = ("ethernet", "802-3-ethernet")
_WITHOUT_INTERFACE = ("wifi", "802-11-wireless", "vpn", "gsm", "cdma", "bluetooth", "adsl")
_PARENTS = (("vlan", "parent"), ("macvlan", "parent"), ("pppoe", "parent"), ("vxlan", "parent"))


def parse(text: str) -> tuple[Interface, ...]:
    """The interfaces that one profile is about; without a name where it takes any card, or one by its MAC."""
    sections = ini_sections.parse(text)
    connection = named(sections, "connection")
    kind = connection.last("type") or ""
    starts = connection.last("autoconnect") not in ("false", "0", "no")
    if kind in _WITHOUT_INTERFACE:
        return ()
    if kind in _ETHERNET:
        return _of_card(sections, connection, starts=starts)
    name = connection.last("interface-name") or named(sections, kind).last("interface-name")
    return (Interface(name=name, virtual=True, below=_parents(sections), starts=starts),)


def _of_card(sections: tuple[Section, ...], connection: Section, *, starts: bool) -> tuple[Interface, ...]:
    card, match = named(sections, *_ETHERNET), named(sections, "match")
    mac = parse_mac((card.last("mac-address") or "").replace(";", "").strip())
    hardware = next((value for key in ("path", "driver") if (value := match.last(key))), None)
    patterns = (match.last("interface-name") or "").split(";")
    named_ones = [name for name in (connection.last("interface-name"), *patterns) if name and is_plain(name)]
    names: list[str | None] = [*dict.fromkeys(named_ones)] or [None]
    return tuple(Interface(name=name, mac=mac, hardware=hardware, starts=starts) for name in names)


def _parents(sections: tuple[Section, ...]) -> tuple[str, ...]:
    """Names of the interfaces below; a parent may also be another profile's UUID, which is none."""
    found = (named(sections, section).last(key) for section, key in _PARENTS)
    return tuple(name for name in found if name and is_plain(name))
