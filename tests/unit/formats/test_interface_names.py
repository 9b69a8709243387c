import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.interface_names import is_kernel_name, is_plain, is_software_name, parse_mac


@pytest.mark.parametrize(
    "text", ["00:50:56:0a:0B:1", "00-50-56-0A-0B-01", "0050560a0b01", " 0:50:56:a:b:1\n", "0-50-56-a-b-01"]
)
def test_a_mac_in_every_spelling(text: str) -> None:
    assert parse_mac(text) == "00:50:56:0a:0b:01"


@pytest.mark.parametrize(
    "text",
    ["", "00:50:56:0a:0b", "00:50:56-0a-0b-01", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "0:0:0:0:0:0", "x"],
)
def test_what_is_no_address_of_one_card(text: str) -> None:
    assert parse_mac(text) is None


@given(st.text(max_size=30))
def test_an_address_read_twice_stays(text: str) -> None:
    mac = parse_mac(text)
    assert mac is None or parse_mac(mac) == mac


@pytest.mark.parametrize("name", ["eth0", "ens192", "enp2s1f0.7", "lan-a", "em1"])
def test_plain_names(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize("name", ["", "en*", "eth0:1", "123", "a/b", "..", "-x", "a b", "x" * 16, "eth0\n"])
def test_names_that_are_no_single_interface(name: str) -> None:
    assert not is_plain(name)


def test_whose_names_they_are() -> None:
    assert [name for name in ("eth0", "eth12", "ens1", "xeth0") if is_kernel_name(name)] == ["eth0", "eth12"]
    made = ("lo", "tun0", "docker0", "br-4f2a", "bond1", "virbr0-nic")
    assert all(map(is_software_name, made))
    assert not any(map(is_software_name, ("lan0", "ens192", "brick0", "local0", "team", "eth0")))
