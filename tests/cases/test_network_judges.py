"""What the network cases leave in a guest, judged by the programs that read it: udev and netplan."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdk2kvm.formats import netplan, networkd

HERE = Path(__file__).parent
CASES = HERE / "network-stable-names"
MAC = "00:50:56:8a:10:01"
LINKS = sorted(CASES.glob("*/after/etc/systemd/network/10-vmdk2kvm-*.link"))
PLANS = sorted(path for path in CASES.glob("*/before/etc/netplan") if path.parts[-4] != "netplan-unread")

# A card of its own in a network of its own, named by /run/systemd/network and nothing else.
_NAME_A_CARD = """
mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && mkdir -p /run/systemd/network
cp "$1" /run/systemd/network/
ip tuntap add card0 mode tap && ip link set card0 address "$2"
SYSTEMD_LOG_LEVEL=debug exec udevadm test-builtin net_setup_link /sys/class/net/card0
"""


@pytest.fixture(scope="module")
def name_a_card() -> Callable[[Path, str], str]:
    """What udev says of a card with a MAC where a .link file is the only one beside the vendor's."""
    needed = [shutil.which(name) for name in ("unshare", "udevadm", "ip")]
    if None in needed or os.geteuid() != 0:
        pytest.skip("udev cannot be asked without unshare, udevadm, ip and root")

    def ask(link: Path, mac: str) -> str:
        command = ["unshare", "--mount", "--net", "sh", "-c", _NAME_A_CARD, "sh", str(link), mac]
        result = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if result.returncode != 0:
            pytest.skip(f"no card can be made here: {result.stderr[-200:]!r}")
        return (result.stdout + result.stderr).decode()

    return ask


@pytest.mark.parametrize("link", LINKS, ids=lambda path: f"{path.parts[-6]}/{path.name}")
def test_udev_reads_the_link_file(link: Path, name_a_card: Callable[[Path, str], str]) -> None:
    said = name_a_card(link, MAC)
    assert f'Parsed configuration file "/run/systemd/network/{link.name}"' in said
    assert not re.search(rf"{re.escape(link.name)}:\d+:", said)


@pytest.mark.parametrize(
    ("mac", "name"), [(MAC, "ens192"), ("00:50:56:8a:10:99", "card0")], ids=["its card", "another card"]
)
def test_udev_gives_the_card_its_name(
    mac: str, name: str, tmp_path: Path, name_a_card: Callable[[Path, str], str]
) -> None:
    """By the present MAC: a card made for a test has no permanent one."""
    link = tmp_path / "10-vmdk2kvm-ens192.link"
    link.write_text(networkd.render_link("ens192", mac=MAC, drivers="", by_permanent_mac=False))
    assert f"\nID_NET_NAME={name}\n" in name_a_card(link, mac)


@pytest.mark.parametrize(
    ("drivers", "name"), [("virtio_net tun", "ens192"), ("virtio_net e1000", "card0")], ids=["one", "none"]
)
def test_udev_gives_the_only_card_of_a_driver_its_name(
    drivers: str, name: str, tmp_path: Path, name_a_card: Callable[[Path, str], str]
) -> None:
    link = tmp_path / "10-vmdk2kvm-ens192.link"
    link.write_text(networkd.render_link("ens192", mac=None, drivers=drivers, by_permanent_mac=True))
    assert f"\nID_NET_NAME={name}\n" in name_a_card(link, MAC)


def test_udev_would_tell_a_mistake(tmp_path: Path, name_a_card: Callable[[Path, str], str]) -> None:
    link = tmp_path / "10-vmdk2kvm-ens192.link"
    link.write_text("[Match]\nMAC=x\n\n[Link]\nName=ens192\n")
    assert re.search(r"10-vmdk2kvm-ens192\.link:\d+:", name_a_card(link, MAC))


@pytest.fixture(scope="module")
def netplan_generate() -> str:
    folders = "/usr/libexec/netplan:/usr/lib/netplan:/lib/netplan"
    found = shutil.which("generate", path=os.environ.get("NETPLAN_FOLDER", folders))
    if found is None and os.environ.get("CI"):
        pytest.fail("netplan.io is missing")
    return found or pytest.skip("netplan.io is not installed")


@pytest.mark.parametrize("folder", PLANS, ids=lambda path: path.parts[-4])
def test_netplan_is_about_the_same_interfaces(folder: Path, tmp_path: Path, netplan_generate: str) -> None:
    shutil.copytree(folder, tmp_path / "etc/netplan")
    subprocess.run(
        [netplan_generate, "--root-dir", str(tmp_path)], check=True, timeout=30, capture_output=True
    )
    generated = sorted((tmp_path / "run/systemd/network").glob("*.network"))
    theirs = {one.name for path in generated for one in networkd.parse_network(path.read_text())}
    ours = {one.name for path in folder.iterdir() for one in netplan.parse(path.read_text())}
    assert ours == theirs
