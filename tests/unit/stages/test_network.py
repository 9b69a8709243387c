from dataclasses import replace

from tests.linux_guests import debian, guest_os
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.linux.network_names import NETWORK_NAMES_FIX
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.network import Nic
from vmdk2kvm.stages.network import interface_names


def guest_with(interfaces: str) -> MemoryGuest:
    return debian(
        {
            "/usr/lib/udev/rules.d/80-net-setup-link.rules": "",
            "/sbin/ifup": "",
            "/etc/network/interfaces": interfaces,
        }
    )


def test_names_that_would_be_lost_until_they_are_tied() -> None:
    guest = guest_with("auto ens192\niface ens192 inet dhcp\n")
    os = guest_os(guest)
    (finding,) = interface_names(guest, os)
    assert finding.id == "network-names-change"
    assert '"ens192"' in finding.message and "network-stable-names" in finding.remedy
    engine.apply(engine.plan((NETWORK_NAMES_FIX,), guest, os), guest, backup=False)
    assert list(interface_names(guest, os)) == []


def test_what_is_not_certain_is_told_beforehand() -> None:
    guest = guest_with("auto a b\niface a inet dhcp\niface b inet dhcp\n")
    os = replace(guest_os(guest), nics=(Nic(mac="00:50:56:00:00:01"), Nic(mac="00:50:56:00:00:02")))
    assert [finding.id for finding in interface_names(guest, os)] == ["network-unknown-card"] * 2


def test_a_guest_that_takes_any_card() -> None:
    guest = guest_with("auto lo\niface lo inet loopback\n")
    assert list(interface_names(guest, guest_os(guest))) == []
