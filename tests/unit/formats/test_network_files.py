"""The readers of network configurations: what each stack's files say of an interface."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats import ifcfg, ini_sections, interfaces, netplan, networkd, nm_keyfile
from vmdk2kvm.model.network import Interface

MAC = "00:50:56:8a:10:01"
_LINES = st.lists(
    st.sampled_from(
        [
            "[Match]", "[connection]", "[ethernet]", "[vlan]", "[NetDev]", "[Link]", "Name=ens192", "Name=",
            "type=ethernet", "type=vlan", "mac-address=00:50:56:8a:10:01;", "interface-name=ens192",
            "auto ens192", "iface ens192 inet dhcp", "iface eth0:1 inet static", "bond-slaves a b \\", "  c",
            "mapping e*", "map home eth9", "source x/*", "DEVICE=eth0", "HWADDR='0:50:56:8a:10:1'",
            "VLAN=yes", "parent=x",
            "network:", "  ethernets:", "    ens192: {}", "#", "", "=", "iface", "source", "\udcff\x00",
        ]
    )
    | st.text(max_size=20)
).map("\n".join)  # fmt: skip


@given(_LINES)
def test_no_text_is_too_odd(text: str) -> None:
    """Readers skip or refuse; whatever they give is an interface."""
    found: list[Interface] = []
    found += nm_keyfile.parse(text)
    found += (*networkd.parse_network(text), *networkd.parse_netdev(text), *networkd.parse_link(text))
    file = interfaces.parse(text)
    found += interfaces.interfaces(file.stanzas, (file,))
    for parse in (netplan.parse, lambda text: ifcfg.parse(text, "eth0", is_suse=True)):
        try:
            found += parse(text)
        except GuestError as error:
            assert error.message.startswith("line ")
    assert all(isinstance(one, Interface) for one in found)


def test_sections() -> None:
    text = "lost=1\n[A]\n# no\n; no\nkey = a b\nkey=c\nlong=x \\\n  y\nodd\n[B]\nkey=\n[A]\nkey=\nkey=d\n"
    sections = ini_sections.parse(text)
    assert [(section.name, section.entries) for section in sections] == [
        ("A", (("key", "a b"), ("key", "c"), ("long", "x  y"))),
        ("B", (("key", ""),)),
        ("A", (("key", ""), ("key", "d"))),
    ]
    whole = ini_sections.named(sections, "A")
    assert (whole.last("key"), whole.words("key"), whole.last("none")) == ("d", ("d",), None)
    assert sections[0].words("key") == ("a", "b", "c")


# NetworkManager


def keyfile(*sections: str) -> tuple[Interface, ...]:
    return nm_keyfile.parse("\n".join(sections))


def test_a_profile_of_a_card() -> None:
    head = "[connection]\ntype=ethernet\n"
    assert keyfile(head, "interface-name=ens192") == (Interface(name="ens192"),)
    assert keyfile(head, "[ethernet]\nmac-address=00:50:56:8A:10:01") == (Interface(name=None, mac=MAC),)
    assert keyfile(head, "autoconnect=false\ninterface-name=a") == (Interface(name="a", starts=False),)
    assert keyfile(head, "[match]\ninterface-name=ens192;!x;en*") == (Interface(name="ens192"),)
    slot = "pci-0000:0b:00.0"
    assert keyfile(head, f"[match]\npath={slot}") == (Interface(name=None, hardware=slot),)


def test_profiles_of_what_is_no_card() -> None:
    made = Interface(name="bond0.7", virtual=True, below=("bond0",))
    assert keyfile("[connection]\ntype=vlan\ninterface-name=bond0.7\n[vlan]\nparent=bond0") == (made,)
    old = keyfile("[connection]\ntype=bond\n[bond]\ninterface-name=bond0")
    assert old == (Interface(name="bond0", virtual=True),)
    by_uuid = keyfile("[connection]\ntype=vlan\n[vlan]\nparent=2e2b7a04-5c0c-3d3e-9a3c-1c6c6f5b4a01")
    assert by_uuid == (Interface(name=None, virtual=True),)
    assert keyfile("[connection]\ntype=wifi\ninterface-name=wlan0") == ()


# systemd-networkd


def test_network_files() -> None:
    assert networkd.parse_network("[Match]\nName=ens192 ens224\n") == (
        Interface(name="ens192"),
        Interface(name="ens224"),
    )
    any_card = (Interface(name=None),)
    for match in ("Name=en*", "Name=!lo", "Name=!ens192 ens224", "Type=ether", ""):
        assert networkd.parse_network(f"[Match]\n{match}\n[Network]\nDHCP=yes\n") == any_card
    both = networkd.parse_network(f"[Match]\nName=lan0\nMACAddress={MAC}\n")
    assert both == (Interface(name="lan0", mac=MAC),)
    assert networkd.parse_network(f"[Match]\nMACAddress={MAC} 00:50:56:8a:10:02\n") == (
        Interface(name=None, mac=MAC),
        Interface(name=None, mac="00:50:56:8a:10:02"),
    )


@pytest.mark.parametrize(
    ("match", "hardware"),
    [
        ("Driver=vmxnet3", "vmxnet3"),
        ("Driver=e1000 virtio*", None),
        ("Path=pci-0000:0b:00.0", "pci-0000:0b:00.0"),
        ("Path=pci-* virtio-pci-*", None),
    ],
)
def test_what_only_vmware_has(match: str, hardware: str | None) -> None:
    assert networkd.parse_network(f"[Match]\nName=a\n{match}\n") == (Interface(name="a", hardware=hardware),)


def test_link_files() -> None:
    text = networkd.render_link("ens192", mac=MAC, drivers="virtio_net", by_permanent_mac=True)
    assert text == f"[Match]\nPermanentMACAddress={MAC}\n\n[Link]\nName=ens192\n"
    assert networkd.parse_link(text) == (Interface(name="ens192", mac=MAC, is_tied=True),)
    old = networkd.render_link("ens192", mac=MAC, drivers="virtio_net", by_permanent_mac=False)
    assert f"\nMACAddress={MAC}\n" in old
    any_card = networkd.render_link("ens192", mac=None, drivers="virtio_net", by_permanent_mac=True)
    assert networkd.parse_link(any_card) == (Interface(name="ens192"),)
    by_slot = networkd.parse_link(f"[Match]\nMACAddress={MAC}\nPath=pci-0000:0b:00.0\n[Link]\nName=a\n")
    assert by_slot == (Interface(name="a", mac=MAC, hardware="pci-0000:0b:00.0"),)
    assert networkd.parse_link("[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel\n") == ()


# ifcfg


def of_redhat(text: str, suffix: str = "ens192") -> Interface:
    (found,) = ifcfg.parse(text, suffix, is_suse=False)
    return found


def of_suse(text: str, suffix: str) -> Interface:
    (found,) = ifcfg.parse(text, suffix, is_suse=True)
    return found


def test_ifcfg_of_a_card() -> None:
    assert of_redhat("DEVICE=eth0\nONBOOT=yes\nHWADDR='00:50:56:8A:10:01'\n") == Interface(
        name="eth0", mac=MAC
    )
    assert of_redhat(f"HWADDR={MAC}\nONBOOT=no\n") == Interface(name=None, mac=MAC, starts=False)
    assert of_redhat("NAME='Wired connection 1'\n", "Wired_connection_1") == Interface(name=None)
    assert of_redhat("DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\nBRIDGE=br0\n") == Interface(name="eth0")
    assert of_suse("STARTMODE='off'\n", "eth0") == Interface(name="eth0", starts=False)
    assert of_suse("", "eth-id-00:50:56:8A:10:01") == Interface(name=None, mac=MAC)
    assert of_suse("", "bus-pci-0000:02:01.0") == Interface(name=None, hardware="0000:02:01.0")


@pytest.mark.parametrize(
    ("text", "suffix", "below"),
    [
        ("DEVICE=bond0\nTYPE=Bond\n", "bond0", ()),
        ("DEVICE=bond0\nBONDING_OPTS='mode=1'\n", "bond0", ()),
        ("DEVICE=br0\nTYPE=Bridge\n", "br0", ()),
        ("DEVICE=ens192.20\nVLAN=yes\n", "ens192.20", ("ens192",)),
        ("DEVICE=vlan20\nVLAN=yes\nPHYSDEV=ens192\n", "vlan20", ("ens192",)),
        ("DEVICE=team0\nDEVICETYPE=Team\n", "team0", ()),
        ("DEVICE=eth0:1\n", "eth0:1", ("eth0",)),
    ],
)
def test_ifcfg_of_what_is_no_card(text: str, suffix: str, below: tuple[str, ...]) -> None:
    found = of_redhat(text, suffix)
    assert (found.virtual, found.below) == (True, below)


def test_suse_names_what_is_below() -> None:
    bond = of_suse("BONDING_MASTER='yes'\nBONDING_SLAVE0='eth0'\nBONDING_SLAVE_1='eth1'\n", "bond0")
    assert (bond.virtual, bond.below) == (True, ("eth0", "eth1"))
    bridge = of_suse("BRIDGE='yes'\nBRIDGE_PORTS='eth0 eth1'\n", "br0")
    assert (bridge.virtual, bridge.below) == (True, ("eth0", "eth1"))
    vlan = of_suse("ETHERDEVICE='eth0'\n", "vlan5")
    assert (vlan.virtual, vlan.below) == (True, ("eth0",))


# ifupdown


def read(text: str) -> tuple[Interface, ...]:
    file = interfaces.parse(text)
    return interfaces.interfaces(file.stanzas, (file,))


def test_stanzas() -> None:
    text = "auto lo\niface lo inet loopback\nallow-hotplug ens192\niface ens192 inet static\n  address x\n"
    lo, card = read(text)
    assert (lo.virtual, card) == (True, Interface(name="ens192"))
    assert read("iface ens192 inet dhcp\n") == (Interface(name="ens192", starts=False),)
    assert read("auto eth0\niface eth0:1 inet static\n") == (
        Interface(name=None, virtual=True, below=("eth0",)),
    )
    assert read("# auto x\n   # iface x inet dhcp\nauto /en*\niface /en* inet dhcp\n")[0].name is None


@pytest.mark.parametrize(
    ("options", "below"),
    [
        ("bond-slaves ens192 ens224", ("ens192", "ens224")),
        ("bond-slaves none\n bond-mode 1", ()),
        ("slaves a b", ("a", "b")),
        ("bridge_ports \\\n   ens192 \\\n   ens224", ("ens192", "ens224")),
        ("bridge_ports regex eth.*", ()),
        ("vlan-raw-device ens192", ("ens192",)),
        ("vlan_raw_device ens192", ("ens192",)),
    ],
)
def test_stanzas_of_what_is_no_card(options: str, below: tuple[str, ...]) -> None:
    assert read(f"auto x0\niface x0 inet manual\n {options}\n") == (
        Interface(name="x0", virtual=True, below=below),
    )


def test_a_vlan_by_its_name() -> None:
    assert read("auto ens192.7\niface ens192.7 inet dhcp\n")[0].below == ("ens192",)


def test_ports_that_name_their_bond_are_cards() -> None:
    assert read("auto a\niface a inet manual\n bond-master bond0\n bridge-vids 2-9\n") == (
        Interface(name="a"),
    )


def test_a_mapping_chooses_between_configurations() -> None:
    text = (
        "auto eth0\nmapping eth0\n  script x\n  map HOME home\niface home inet dhcp\niface eth0 inet dhcp\n"
    )
    assert read(text) == (Interface(name="eth0"),)


def test_sources() -> None:
    file = interfaces.parse("source a/*\nsource-directory  b\nsource   /c/d \n")
    assert (file.sources, file.folders) == (("a/*", "/c/d"), ("b",))


# netplan


def plan(text: str) -> tuple[Interface, ...]:
    return netplan.parse("network:\n  version: 2\n" + text)


def test_netplan() -> None:
    assert plan("  ethernets: {ens192: {dhcp4: yes}, 'ens224': }") == (
        Interface(name="ens192"),
        Interface(name="ens224"),
    )
    tied = f"  ethernets: {{x: {{match: {{macaddress: '{MAC}'}}, set-name: lan0}}}}"
    assert plan(tied) == (Interface(name="lan0", mac=MAC, is_tied=True),)
    assert plan(f"  ethernets: {{x: {{match: {{macaddress: '{MAC}'}}}}}}") == (Interface(name=None, mac=MAC),)
    assert plan("  ethernets: {x: {match: {name: en*}}}") == (Interface(name=None),)
    assert plan("  ethernets: {x: {match: {name: ens192}}}") == (Interface(name="ens192"),)
    assert plan("  ethernets: {x: {match: {driver: vmxnet3}, set-name: lan0}}") == (
        Interface(name="lan0", hardware="vmxnet3"),
    )
    assert plan("  ethernets: {x: {match: {driver: [vmxnet3, virtio*]}}}") == (Interface(name=None),)
    assert plan("  vlans: {v7: {id: 7, link: ens192}}\n  bridges: {br0: {interfaces: [a, b]}}") == (
        Interface(name="br0", virtual=True, below=("a", "b")),
        Interface(name="v7", virtual=True, below=("ens192",)),
    )


@pytest.mark.parametrize("text", ["", "network:\n", "network: x\n", "- a\n", "network: {ethernets: [a]}\n"])
def test_netplan_without_interfaces(text: str) -> None:
    assert netplan.parse(text) == ()
