"""The fix on whole guests, beyond its cases: with the initramfs, and on any configuration."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.initramfs_images import image
from tests.linux_guests import VMWARE_ONLY, debian, guest_os, image_path, inspected_again
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.guest_cards import cards_to_test
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.linux.network_names import DRACUT_DROP_IN, NETWORK_NAMES_FIX
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.guest_os import InitramfsTool
from vmdk2kvm.model.network import Nic

A, B = "00:50:56:00:00:01", "00:50:56:00:00:02"
LINK = "/etc/systemd/network/10-vmdk2kvm-ens192.link"
INTERFACES = "/etc/network/interfaces"
SETUP_LINK = "usr/lib/udev/rules.d/80-net-setup-link.rules"
CRITICAL = (
    *VMWARE_ONLY,
    "virtio",
    "virtio_ring",
    "virtio_pci",
    "virtio_pci_modern_dev",
    "virtio_blk",
    "virtio_scsi",
)


def guest_with(text: str, *, systemd: int = 252, held: bytes | None = None) -> MemoryGuest:
    return debian(
        {
            f"/{SETUP_LINK}": "",
            f"/usr/lib/systemd/libsystemd-shared-{systemd}.so": "",
            "/sbin/ifup": "",
            INTERFACES: text,
            **({image_path(): held} if held else {}),
        }
    )


@pytest.mark.parametrize(("systemd", "rebuilds"), [(239, True), (252, False)])
def test_the_initramfs_of_an_old_systemd_gets_the_link_files(systemd: int, rebuilds: bool) -> None:
    held = image([*CRITICAL, "virtio_net"], {SETUP_LINK: b"rules"})
    guest = guest_with("auto ens192\niface ens192 inet dhcp\n", systemd=systemd, held=held)
    guest.make_folder("/etc/dracut.conf.d")
    guest.write_bytes("/etc/dracut.conf.d/kvm.conf", f'add_drivers+=" {" ".join(CRITICAL)} "\n'.encode())
    os = guest_os(guest, tool=InitramfsTool.DRACUT)
    fixes = (NETWORK_NAMES_FIX, INITRAMFS_VIRTIO_FIX)

    plan = engine.plan(fixes, guest, os)
    kinds = [(item.change.kind, getattr(item.change, "path", "")) for item in plan.changes]
    expected = [("write-file", LINK)]
    if rebuilds:
        expected += [("write-file", DRACUT_DROP_IN), ("rebuild", image_path())]
    assert kinds == expected

    engine.apply(plan, guest, backup=False)
    os = inspected_again(guest, os)
    assert engine.plan(fixes, guest, os).changes == ()
    (kernel,) = os.kernels
    assert kernel.initramfs is not None
    assert (LINK.lstrip("/") in dict(kernel.initramfs.files)) is rebuilds


def test_another_run_with_the_cards_told_takes_them() -> None:
    guest = guest_with("auto ens192\niface ens192 inet dhcp\n")
    os = guest_os(guest)
    engine.apply(engine.plan((NETWORK_NAMES_FIX,), guest, os), guest, backup=False)
    assert "Driver=" in guest.read_text(LINK)
    told = replace(os, nics=(Nic(mac=A),))
    engine.apply(engine.plan((NETWORK_NAMES_FIX,), guest, told), guest, backup=False)
    assert f"PermanentMACAddress={A}" in guest.read_text(LINK)
    assert engine.plan((NETWORK_NAMES_FIX,), guest, told).changes == ()


def test_what_a_removed_rule_told_is_still_known() -> None:
    rules = "/etc/udev/rules.d/70-persistent-net.rules"
    rule = 'SUBSYSTEM=="net", DRIVERS=="vmxnet3", ATTR{{address}}=="{}", NAME="{}"\n'
    guest = guest_with("auto lan0 dmz0\niface lan0 inet dhcp\niface dmz0 inet dhcp\n")
    guest.make_folder("/etc/udev/rules.d")
    guest.write_bytes(rules, (rule.format(A, "lan0") + rule.format(B, "dmz0")).encode())
    os = replace(guest_os(guest), nics=(Nic(mac=A), Nic(mac=B)))
    plan = engine.plan((NETWORK_NAMES_FIX,), guest, os)
    assert plan.findings == ()
    engine.apply(plan, guest, backup=False)
    assert guest.read_bytes(rules) == b""
    again = engine.plan((NETWORK_NAMES_FIX,), guest, os)
    assert (again.changes, again.findings) == ((), ())


def test_the_boot_test_has_the_machines_cards_or_those_the_guest_insists_on() -> None:
    two = "auto ens192 ens224\niface ens192 inet dhcp\niface ens224 inet dhcp\n"
    os = guest_os(guest_with(two))
    assert cards_to_test(guest_with(two), replace(os, nics=(Nic(mac=B), Nic(mac=A, name="ens192")))) == (
        ("ens192", "ens224"),
        (B, A),
    )
    assert cards_to_test(guest_with(two), os) == ((), ())
    assert cards_to_test(guest_with("iface ens192 inet dhcp\n"), os) == (("ens192",), ())
    insists = guest_with("")
    insists.make_folder("/usr/sbin")
    insists.write_bytes("/usr/sbin/NetworkManager", b"")
    insists.make_folder("/etc/NetworkManager/system-connections")
    profile = f"[connection]\ntype=ethernet\n[ethernet]\nmac-address={A}\n".encode()
    insists.write_bytes("/etc/NetworkManager/system-connections/lan", profile)
    assert cards_to_test(insists, os) == ((), (A,))


def ids(guest: MemoryGuest, *nics: Nic) -> list[str]:
    plan = engine.plan((NETWORK_NAMES_FIX,), guest, replace(guest_os(guest), nics=nics))
    return [*(item.change.kind for item in plan.changes), *(finding.id for finding in plan.findings)]


def test_the_leases_of_networkmanagers_own_client_tell_cards_apart() -> None:
    guest = guest_with("auto ens192 ens224\niface ens192 inet dhcp\niface ens224 inet dhcp\n")
    assert ids(guest, Nic(mac=A), Nic(mac=B)) == ["network-unknown-card"] * 2
    guest.make_folder("/var/lib/NetworkManager")
    lease = "/var/lib/NetworkManager/internal-2e2b7a04-5c0c-3d3e-9a3c-1c6c6f5b4a01-ens224.lease"
    guest.write_bytes(lease, f"CLIENTID=01{A.replace(':', '')}\n".encode())
    assert ids(guest, Nic(mac=A), Nic(mac=B)) == ["write-file"] * 2


def test_without_udev_only_the_kernels_names_come_by_themselves() -> None:
    interfaces = "auto {0}\niface {0} inet dhcp\n"
    for name, expected in (("eth0", []), ("lan0", ["network-name-not-tied"])):
        guest = MemoryGuest({"/sbin/ifup": "", INTERFACES: interfaces.format(name)})
        assert ids(guest, Nic(mac=A)) == expected


def test_what_stands_where_ours_belongs_is_left_alone() -> None:
    guest = guest_with("auto ens192\niface ens192 inet dhcp\n")
    guest.make_folder("/etc/systemd/network")
    guest.make_symlink(LINK, "/dev/null")
    guest.make_folder("/etc/udev/rules.d/70-persistent-net.rules")
    assert ids(guest, Nic(mac=A)) == ["file-left-unread", "file-left-unread"]


_WORDS = st.sampled_from(["ens192", "ens224", "eth0", "bond0", "ens192.7", "eth0:1", "lan", "en*", "lo"])
_STANZAS = st.lists(
    st.tuples(
        st.sampled_from(["auto {}\n", "iface {} inet dhcp\n", " bond-slaves {}\n", "source {}\n"]), _WORDS
    ).map(lambda pair: pair[0].format(pair[1])),
    max_size=12,
).map("".join)
_NICS = st.lists(
    st.builds(Nic, mac=st.sampled_from([A, B]), name=st.none() | st.sampled_from(["ens192", "lan"])),
    max_size=2,
    unique_by=(lambda nic: nic.mac, lambda nic: nic.name or nic.mac),
).map(tuple)
_RULES = st.lists(
    st.tuples(st.sampled_from([A, B, "00:50:56:00:00:09"]), st.sampled_from(["ens192", "eth0", "lan"])).map(
        lambda pair: f'SUBSYSTEM=="net", ATTR{{address}}=="{pair[0]}", NAME="{pair[1]}"\n'
    ),
    max_size=3,
).map("".join)


@given(_STANZAS, _NICS, _RULES, st.sampled_from([219, 239, 252]))
def test_planned_again_there_is_nothing_to_do(
    text: str, nics: tuple[Nic, ...], rules: str, systemd: int
) -> None:
    guest = guest_with(text, systemd=systemd)
    guest.make_folder("/etc/udev/rules.d")
    guest.write_bytes("/etc/udev/rules.d/70-persistent-net.rules", rules.encode())
    os = replace(guest_os(guest), nics=nics)
    plan = engine.plan((NETWORK_NAMES_FIX,), guest, os)
    engine.apply(plan, guest, backup=False)
    again = engine.plan((NETWORK_NAMES_FIX,), guest, os)
    assert again.changes == ()
    assert again.findings == plan.findings
    assert guest.read_text(INTERFACES) == text
