"""Small files VMware's tools leave: udev(7) rules, modprobe.d(5), modules-load.d(5).

Each is taken as a whole, and only where every line of it is about VMware.
"""

import re

from vmdk2kvm.formats.spans import Span, splice

# modules of VMware's own packages, which no kernel has by itself
TOOL_MODULES = frozenset({"vmhgfs", "vmblock", "vmmemctl", "vmxnet", "vmsync", "vmdesched"})
_DRIVERS = TOOL_MODULES | {
    *("vmxnet3", "vmw_pvscsi", "pvscsi", "vmci", "vmw_vmci", "vsock", "vmw_balloon", "vmwgfx"),
    *("vmw_vsock_vmci_transport", "vmw_vsock_virtio_transport_common"),
}
_COMMANDS = frozenset({"alias", "blacklist", "install", "options", "remove", "softdep"})
_VMWARE = re.compile("vmware", re.IGNORECASE)


def is_vmware_rules(text: str) -> bool:
    """Whether udev rules are about VMware's devices, all of them."""
    lines = _effective(text)
    return bool(lines) and all(map(_VMWARE.search, lines))


def is_vmware_modprobe(text: str) -> bool:
    """Whether all lines for modprobe are about VMware's drivers."""
    lines = [line.split() for line in _effective(text)]
    return bool(lines) and all(map(_is_of_driver, lines))


def _is_of_driver(words: list[str]) -> bool:
    if len(words) < 2 or words[0] not in _COMMANDS:
        return False
    module = words[2] if words[0] == "alias" and len(words) > 2 else words[1]
    return module.replace("-", "_") in _DRIVERS


def without_tool_modules(text: str) -> str:
    """Lists of modules to load: lines that name a module of the tools become comments."""
    edits: dict[Span, str] = {}
    start = 0
    for line in text.split("\n"):
        words = line.split()
        if words and words[0].replace("-", "_") in TOOL_MODULES:
            edits[Span(start, start)] = "# "
        start += len(line) + 1
    return splice(text, edits)


def _effective(text: str) -> list[str]:
    joined = text.replace("\\\r\n", " ").replace("\\\n", " ")
    stripped = (line.strip() for line in joined.split("\n"))
    return [line for line in stripped if line and not line.startswith("#")]
