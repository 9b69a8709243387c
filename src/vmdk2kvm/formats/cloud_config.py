"""cloud-init's configuration: /etc/cloud/cloud.cfg and cloud.cfg.d, as far as the datasource goes.

A file holds more of YAML than is read here: of each only the one top-level key that is asked for.
"""

import re

from vmdk2kvm.formats import yaml_subset
from vmdk2kvm.formats.spans import Span, splice
from vmdk2kvm.formats.yaml_subset import Node

_DISABLED = "disabled"
_IDENTIFIED = re.compile(r"^[ \t]*datasource[ \t]*:[ \t]*(\S+)", re.MULTILINE)


def datasources(text: str) -> tuple[str, ...] | None:
    """`datasource_list`, None where the file has none. Raises GuestError."""
    node = _top_level(text, "datasource_list")
    if isinstance(node, list):
        return tuple(name for name in node if isinstance(name, str))
    return (node,) if isinstance(node, str) else None


def disables_network(text: str) -> bool:
    """`network: {config: disabled}`. Raises GuestError."""
    node = _top_level(text, "network")
    return isinstance(node, dict) and node.get("config") == _DISABLED


def render_pin(name: str) -> str:
    """The one datasource, and a machine that stays what it is: its host name, its SSH keys."""
    lines = [
        "# The machine came from VMware: cloud-init is to look here only, and to make no new machine of it.",
        "datasource_list: [ None ]" if name == "None" else f"datasource_list: [ {name}, None ]",
        "preserve_hostname: true",
        "ssh_deletekeys: false",
    ]
    if name == "None":  # nothing new is to be found, so what is known stays valid
        lines += ["manual_cache_clean: true", "network:", f"  config: {_DISABLED}"]
    return "\n".join(lines) + "\n"


def identified(text: str) -> str | None:
    """The datasource that ds-identify.cfg names."""
    found = _IDENTIFIED.search(text)
    return found[1] if found else None


def without_identified(text: str) -> str:
    starts = (found.start() for found in _IDENTIFIED.finditer(text))
    return splice(text, {Span(start, start): "# " for start in starts})


def _top_level(text: str, key: str) -> Node:
    """The value of the last such key: that is the one that holds."""
    block: list[str] = []
    inside = False
    for line in text.split("\n"):
        if line.startswith(f"{key}:"):
            block, inside = [line], True
        elif inside and (not line.strip() or line[0] in " \t-#]"):
            block.append(line)
        else:
            inside = False
    if not block:
        return None
    found = yaml_subset.parse("\n".join(block))
    return found.get(key) if isinstance(found, dict) else None
