"""Static addresses, each bound to an interface's name, under the four network stacks of Debian."""

from tests.guests.catalog import fixed_uuid
from tests.guests.linux_parts import Card, Network

_NETWORKD = "systemctl -q enable systemd-networkd"


def ifupdown(cards: tuple[Card, ...]) -> Network:
    stanzas = "".join(
        f"\nauto {card.name}\niface {card.name} inet static\n\taddress {card.address}\n"
        + (f"\tgateway {_gateway(card)}\n" if index == 0 else "")
        for index, card in enumerate(cards)
    )
    text = "auto lo\niface lo inet loopback\n" + stanzas
    return Network(packages=("ifupdown",), files={"/etc/network/interfaces": text})


def networkd(cards: tuple[Card, ...]) -> Network:
    files = {
        f"/etc/systemd/network/{20 + index}-{card.name}.network": f"[Match]\nName={card.name}\n\n"
        f"[Network]\nAddress={card.address}\n" + (f"Gateway={_gateway(card)}\n" if index == 0 else "")
        for index, card in enumerate(cards)
    }
    return Network(packages=(), files=files, enable=_NETWORKD)


def netplan(cards: tuple[Card, ...]) -> Network:
    lines = ["network:", "  version: 2", "  renderer: networkd", "  ethernets:"]
    for index, card in enumerate(cards):
        lines += [f"    {card.name}:", f"      addresses: [{card.address}]"]
        if index == 0:
            lines += ["      routes:", "        - to: default", f"          via: {_gateway(card)}"]
    files = {"/etc/netplan/50-lan.yaml": "\n".join(lines) + "\n"}
    return Network(packages=("netplan.io",), files=files, enable=_NETWORKD)


def network_manager(cards: tuple[Card, ...]) -> Network:
    files = {
        f"/etc/NetworkManager/system-connections/{card.name}.nmconnection": f"[connection]\nid={card.name}\n"
        f"uuid={fixed_uuid(card.mac)}\ntype=ethernet\ninterface-name={card.name}\n\n[ethernet]\n\n"
        f"[ipv4]\nmethod=manual\naddress1={card.address}"
        + (f",{_gateway(card)}" if index == 0 else "")
        + "\n\n[ipv6]\nmethod=disabled\n"
        for index, card in enumerate(cards)
    }
    return Network(packages=("network-manager",), files=files)


def _gateway(card: Card) -> str:
    return card.address.rpartition(".")[0] + ".1"


def waiting_service(cards: tuple[Card, ...]) -> dict[str, str]:
    """What servers have: a service that starts when the addresses are there, or gives up."""
    addresses = " ".join(card.address for card in cards)
    script = (
        f"for a in {addresses}; do n=0; until ip -o addr show | grep -qF $a; do"
        " n=$((n+1)); [ $n -lt 15 ] || exit 0; sleep 1; done; done"
    )
    unit = (
        "[Unit]\nDescription=Server that wants its addresses\n\n[Service]\nType=oneshot\n"
        f"ExecStart=/bin/sh -c '{script.replace('$', '$$')}'\n\n[Install]\nWantedBy=multi-user.target\n"
    )
    return {"/etc/systemd/system/server.service": unit}
