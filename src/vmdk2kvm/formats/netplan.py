"""netplan's YAML (netplan-yaml(5), "Netplan YAML configuration"): which interfaces it is about. Read only."""

from fnmatch import fnmatchcase

from vmdk2kvm.formats import yaml_subset
from vmdk2kvm.formats.interface_names import is_plain, parse_mac
from vmdk2kvm.formats.yaml_subset import Node
from vmdk2kvm.model.network import Interface

_MADE = ("bonds", "bridges", "vlans", "tunnels", "dummy-devices", "virtual-ethernets", "vrfs")


def parse(text: str) -> tuple[Interface, ...]:
    """Raises GuestError for what is no YAML, or more of it than `formats/yaml_subset` reads."""
    network = _mapping(_mapping(yaml_subset.parse(text)).get("network"))
    cards = (_card(name, _mapping(body)) for name, body in _mapping(network.get("ethernets")).items())
    made = (
        Interface(name=name, virtual=True, below=_below(_mapping(body)))
        for kind in _MADE
        for name, body in _mapping(network.get(kind)).items()
    )
    return (*cards, *made)


def _card(name: str, body: dict[str, Node]) -> Interface:
    """Without `match`, the key is the interface; with one, it is only a label."""
    if "match" not in body:
        return Interface(name=name if is_plain(name) else None)
    match = _mapping(body["match"])
    mac = parse_mac(_text(match.get("macaddress")))
    new_name = _text(body.get("set-name"))
    pattern = _text(match.get("name"))
    if is_plain(new_name):
        tied = mac is not None and _hardware(match) is None and not pattern
        return Interface(name=new_name, mac=mac, hardware=_hardware(match), is_tied=tied)
    return Interface(name=pattern if is_plain(pattern) else None, mac=mac, hardware=_hardware(match))


def _hardware(match: dict[str, Node]) -> str | None:
    driver = match.get("driver")
    drivers = driver if isinstance(driver, list) else [driver]
    written = [_text(one) for one in drivers if _text(one)]
    fits = any(fnmatchcase("virtio_net", one) for one in written)
    return written[0] if written and not fits else None


def _below(body: dict[str, Node]) -> tuple[str, ...]:
    listed = body.get("interfaces")
    names = [*(listed if isinstance(listed, list) else []), body.get("link")]
    return tuple(name for name in map(_text, names) if is_plain(name))


def _mapping(node: Node) -> dict[str, Node]:
    return node if isinstance(node, dict) else {}


def _text(node: Node) -> str:
    return node if isinstance(node, str) else ""
