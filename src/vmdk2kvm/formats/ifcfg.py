"""ifcfg files: Red Hat's (initscripts' sysconfig.txt, NetworkManager's ifcfg-rh) and SUSE's (ifcfg(5)).

Both are assignments in shell syntax, and a file speaks of one interface. Read only.
"""

import re
from collections.abc import Mapping

from vmdk2kvm.formats.interface_names import is_plain, parse_mac
from vmdk2kvm.formats.shell_words import assignments
from vmdk2kvm.model.network import Interface

_YES = frozenset({"yes", "true", "1", "y", "t", "on"})
_PHYSICAL_TYPES = frozenset({"", "ethernet", "eth"})
_SUSE_OFF = frozenset({"manual", "off"})
_BY_MAC = re.compile(r"(?:eth-)?id-(.*)")  # SLES 9 and 10: ifcfg-eth-id-00:50:56:…
_BY_SLOT = re.compile(r"(?:eth-)?bus-pci-(.*)")
_VLAN_NAME = re.compile(r"(.+)\.\d+")


def parse(text: str, suffix: str, *, is_suse: bool) -> tuple[Interface, ...]:
    """The interface of `ifcfg-SUFFIX`. Raises GuestError for a quote that is never closed."""
    values = {each.name.upper(): each.value for each in assignments(text)}
    by_mac, by_slot = _BY_MAC.fullmatch(suffix), _BY_SLOT.fullmatch(suffix)
    if is_suse and (by_mac or by_slot):
        return (
            Interface(
                name=None,
                mac=parse_mac(by_mac[1]) if by_mac else None,
                hardware=by_slot[1] if by_slot else None,
                starts=_starts(values),
            ),
        )
    name = values.get("DEVICE") or (suffix if is_suse else None)  # Red Hat's: any card, or one by its MAC
    return (_interface(name, values),) if name or values else ()


def _interface(name: str | None, values: Mapping[str, str]) -> Interface:
    alias, colon, _ = (name or "").partition(":")
    if colon:  # another address of an interface that has a file of its own
        return Interface(name=None, virtual=True, below=_plain(alias), starts=_starts(values))
    virtual = _is_virtual(name or "", values)
    return Interface(
        name=name,
        mac=None if virtual else parse_mac(values.get("HWADDR", "")),
        virtual=virtual,
        below=_below(name or "", values) if virtual else (),
        starts=_starts(values),
    )


def _starts(values: Mapping[str, str]) -> bool:
    if "ONBOOT" in values:
        return values["ONBOOT"].lower() in _YES
    return values.get("STARTMODE", "auto").lower() not in _SUSE_OFF


def _is_virtual(name: str, values: Mapping[str, str]) -> bool:
    kinds = {values.get(key, "").lower() for key in ("TYPE", "DEVICETYPE")}
    switches = ("VLAN", "BONDING_MASTER", "BRIDGE")  # Red Hat's BRIDGE= names the bridge of a port
    makers = ("BONDING_OPTS", "BRIDGE_PORTS", "ETHERDEVICE", "TUNNEL", "TEAM_CONFIG", "TEAM_PORT_DEVICE_0")
    return (
        not kinds <= _PHYSICAL_TYPES
        or any(values.get(key, "").lower() in _YES for key in switches)
        or any(values.get(key) for key in makers)
        or _VLAN_NAME.fullmatch(name) is not None
    )


def _below(name: str, values: Mapping[str, str]) -> tuple[str, ...]:
    keys = [key for key in values if re.fullmatch(r"BONDING_SLAVE_?\d+|TEAM_PORT_DEVICE_\d+", key)]
    written = [*(values[key] for key in keys), *values.get("BRIDGE_PORTS", "").split()]
    parent = values.get("ETHERDEVICE") or values.get("PHYSDEV")
    vlan = _VLAN_NAME.fullmatch(name)
    if parent or vlan:
        written.append(parent or (vlan[1] if vlan else ""))
    return tuple(each for word in written for each in _plain(word))


def _plain(name: str) -> tuple[str, ...]:
    return (name,) if is_plain(name) else ()
