"""What of a guest's network configuration is read, and that strangers' files stay within bounds."""

import pytest

from vmdk2kvm.fixes.network_files import NetworkFiles, read_network_files
from vmdk2kvm.guest.memory import Folder, Link, MemoryGuest, Node

IFUP = {"/sbin/ifup": b""}
INTERFACES = "/etc/network/interfaces"


def read(files: dict[str, bytes | str | Node]) -> NetworkFiles:
    return read_network_files(MemoryGuest(files))


def ids(found: NetworkFiles) -> list[str]:
    return [finding.id for finding in found.findings]


def test_files_of_a_program_that_is_not_there_say_nothing() -> None:
    files: dict[str, bytes | str | Node] = {INTERFACES: "auto eth0\niface eth0 inet dhcp\n"}
    assert read(files).card_names() == ()
    assert read({**files, **IFUP}).card_names() == ("eth0",)


def test_cards_are_what_no_file_declares_made_and_no_software_has() -> None:
    text = (
        "auto lo\niface lo inet loopback\n"
        "iface ens192 inet manual\nauto bond0\niface bond0 inet dhcp\n bond-slaves ens192 ens224\n"
        "iface tun0 inet static\niface docker0 inet manual\n"
        "auto br7\niface br7 inet dhcp\n bridge_ports bond0\n"
    )
    found = read({**IFUP, INTERFACES: text})
    assert found.card_names() == ("ens192", "ens224")
    assert (found.starts("ens192"), found.starts("tun0")) == (True, False)
    assert found.path_of("ens224") == INTERFACES


def test_drawn_in_files() -> None:
    found = read(
        {
            **IFUP,
            INTERFACES: "source interfaces.d/*\nsource-directory /etc/network/more\nsource ../passwd\n",
            "/etc/network/interfaces.d/a.cfg": "iface a inet dhcp\nsource /etc/network/interfaces\n",
            "/etc/network/more/b": "iface b inet dhcp\n",
            "/etc/network/more/c.cfg": "iface c inet dhcp\n",
            "/etc/passwd": "iface d inet dhcp\n",
        }
    )
    assert found.card_names() == ("a", "b")


def test_etc_comes_before_usr_lib_and_masked_files_are_none() -> None:
    plan = "network:\n  ethernets:\n    {}: {{}}\n"
    found = read(
        {
            "/usr/sbin/netplan": b"",
            "/etc/netplan/10.yaml": plan.format("ens192"),
            "/usr/lib/netplan/10.yaml": plan.format("ens1"),
            "/usr/lib/netplan/20.yaml": plan.format("ens224"),
            "/etc/netplan/30.yaml": Link(target="/dev/null"),
            "/usr/lib/netplan/30.yaml": plan.format("ens2"),
        }
    )
    assert found.card_names() == ("ens192", "ens224")
    assert found.findings == ()


@pytest.mark.parametrize("suffix", ["lo", "eth0~", "eth0.bak", "eth0.rpmsave", "eth0.orig", "eth0,v"])
def test_copies_that_nothing_reads(suffix: str) -> None:
    files = {"/usr/sbin/NetworkManager": b"", f"/etc/sysconfig/network-scripts/ifcfg-{suffix}": b"DEVICE=x\n"}
    assert read({**files}).said == ()


def test_odd_files_are_findings() -> None:
    folder = "/etc/NetworkManager/system-connections"
    assert ids(
        read(
            {
                "/usr/sbin/NetworkManager": b"",
                f"{folder}/folder": Folder(),
                f"{folder}/large": b"#" * 300_000,
                f"{folder}/loop": Link(target=f"{folder}/loop"),
                "/etc/sysconfig/network-scripts/ifcfg-a": 'DEVICE="a\n',
            }
        )
    ) == ["network-file-unread", "file-left-unread", "file-left-unread", "file-left-unread"]


def test_no_guest_draws_in_files_for_ever() -> None:
    lines = "".join(f"source /etc/network/d{index}/*\n" for index in range(5_000))
    files = {f"/etc/network/d1/{index}": "source *\n" for index in range(1_000)}
    found = read({**IFUP, INTERFACES: lines, **files})
    assert ids(found)[0] == "network-files-cut-off"
    assert found.said == ()


def test_no_guest_names_cards_without_end() -> None:
    text = "".join(f"iface e{index} inet dhcp\n" for index in range(5_000))
    assert len(read({**IFUP, INTERFACES: text}).card_names()) == 64
