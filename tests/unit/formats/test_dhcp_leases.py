import pytest

from vmdk2kvm.formats.dhcp_leases import parse_dhclient, parse_internal

MAC = "00:50:56:8a:10:01"
LEASE = (
    'lease {\n  interface "ens192";\n  fixed-address 192.0.2.9;\n  option subnet-mask 255.255.255.0;\n'
    "  option dhcp-client-identifier IDENTIFIER;\n  renew 2 2024/01/02 03:04:05;\n}\n"
)


@pytest.mark.parametrize("identifier", ["1:0:50:56:8a:10:1", "01:00:50:56:8A:10:01"])
def test_a_lease_asked_for_by_mac(identifier: str) -> None:
    text = LEASE.replace("IDENTIFIER", identifier)
    assert parse_dhclient(text) == (("ens192", MAC),)
    assert parse_dhclient(text * 3) == (("ens192", MAC),)


@pytest.mark.parametrize("identifier", ['"web01"', "ff:56:50:4d:98:00:01", "0:0:50:56:8a:10:1", "1:2:3"])
def test_an_identifier_that_is_no_mac(identifier: str) -> None:
    assert parse_dhclient(LEASE.replace("IDENTIFIER", identifier)) == ()


def test_a_lease_says_nothing_of_its_neighbour() -> None:
    other = (
        'lease {\n  interface "ens224";\n}\nlease {\n  option dhcp-client-identifier 1:0:50:56:8a:10:1;\n}\n'
    )
    assert parse_dhclient(other) == ()


def test_the_lease_of_networkmanagers_own_client() -> None:
    assert parse_internal("# private\nADDRESS=192.0.2.9\nCLIENTID=010050568a1001\n") == MAC
    assert parse_internal("CLIENTID=ff0050568a1001\n") is None
    assert parse_internal("XCLIENTID=010050568a1001\n") is None
