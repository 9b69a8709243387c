"""Names and addresses of network interfaces: which are plain, and which the kernel gives.

Linux dev_valid_name() (net/core/dev.c), narrowed to what means the same in a file name, a udev rule
and a systemd unit; systemd.net-naming-scheme(7); IEEE 802 for addresses.
"""

import re

_PLAIN = re.compile(r"(?!\d+\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{1,2}(?:([:-])[0-9a-f]{1,2})(?:\1[0-9a-f]{1,2}){4}|[0-9a-f]{12}", re.IGNORECASE)
_KERNEL = re.compile(r"eth\d+")
# By convention made by software; what a configuration declares as such is known anyhow.
_SOFTWARE = re.compile(
    r"lo|(?:lo|dummy|tun|tap|ppp|wg|veth|virbr|docker|br|bond|team|sit|gre|gretap|ip6tnl|tunl|ifb|vlan|vmbr|"
    r"vxlan|macvlan|ovs|lxc|lxd|lxdbr|lxcbr|cni|flannel|cali|nm-bond|vmnet)[\d-].*|docker_\S*|br-.*"
)


def is_plain(name: str) -> bool:
    """Whether `name` is one interface, and not a pattern or something to quote."""
    return _PLAIN.fullmatch(name) is not None


def is_kernel_name(name: str) -> bool:
    """Whether the kernel itself may give `name` to any Ethernet card ("eth0")."""
    return _KERNEL.fullmatch(name) is not None


def is_software_name(name: str) -> bool:
    """Whether `name` is one that only interfaces made by software have ("lo", "docker0", "tun0")."""
    return _SOFTWARE.fullmatch(name) is not None


def parse_mac(text: str) -> str | None:
    """The address of one card in lower case with colons; None for anything else.

    Group addresses and all zeros belong to no card.
    """
    text = text.strip()
    if not _MAC.fullmatch(text):
        return None
    groups = re.findall("..", text) if text.isalnum() else re.split("[:-]", text)
    octets = [int(group, 16) for group in groups]
    if octets[0] & 1 or not any(octets):
        return None
    return ":".join(f"{octet:02x}" for octet in octets)
