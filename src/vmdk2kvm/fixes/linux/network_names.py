"""The interface that carried an address on VMware carries it on KVM: its name stays tied to its card.

udev names a card after its slot ("ens192"), and the slots change. A .link file keeps the name the
configuration uses (systemd.link(5)), on older systems a udev rule; the configuration itself, and with it
bonds, bridges and VLANs, stays as it is. Generated rules that name a card by VMware's hardware, or by a
MAC that does not come along, go away. Where it is not certain which card a name means, nothing is tied.
"""

from collections.abc import Mapping

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_cards import OUR_RULES, GuestCards, read_cards
from vmdk2kvm.fixes.guest_text import read_guest_text, with_text
from vmdk2kvm.fixes.interface_naming import Namer
from vmdk2kvm.fixes.network_files import OUR_LINK
from vmdk2kvm.fixes.network_findings import findings_of
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.formats import networkd, udev_rules
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, InitramfsTool
from vmdk2kvm.model.report import Finding

DRACUT_DROP_IN = "/etc/dracut.conf.d/91-vmdk2kvm-network.conf"


def plan(guest: GuestReader, os: GuestOs) -> Planned:
    cards = read_cards(guest, os)
    for one in cards.rules:
        if one.stale:
            yield with_text(one.file, udev_rules.without(one.file.text, one.stale))
    yield from _tie(guest, os, cards)
    findings = findings_of(cards.files, os.nics, cards.naming, cards.ties)
    yield from bounded((*cards.unread, *findings), "/etc")


NETWORK_NAMES_FIX = Fix(
    name="network-stable-names",
    reason="an interface that KVM's slots give another name loses its addresses",
    families=LINUX_FAMILIES,
    plan=plan,
)


def _tie(guest: GuestReader, os: GuestOs, cards: GuestCards) -> Planned:
    naming = cards.naming
    wanted = {name: mac for name, mac in cards.ties.macs.items() if (name, mac) not in cards.already}
    if naming.namer is Namer.LINK_FILES:
        for name, mac in wanted.items():
            text = networkd.render_link(
                name, mac=mac, drivers=naming.drivers, by_permanent_mac=naming.by_permanent_mac
            )
            yield from _file(guest, OUR_LINK.format(name=name), text)
        if wanted and naming.keeps_first_name and os.initramfs_tool is InitramfsTool.DRACUT:
            yield from _file(guest, DRACUT_DROP_IN, _dracut_items(wanted))
    elif naming.namer is Namer.RULES and wanted:
        rules = (
            udev_rules.render_rule(name, mac=mac, drivers=naming.drivers) for name, mac in wanted.items()
        )
        yield from _file(guest, OUR_RULES, "".join(rules))


def _dracut_items(names: Mapping[str, str | None]) -> str:
    return f'install_items+=" {" ".join(OUR_LINK.format(name=name) for name in names)} "\n'


def _file(guest: GuestReader, path: str, text: str) -> Planned:
    """A file that is wholly ours."""
    found = read_guest_text(guest, path)
    if isinstance(found, Finding):
        yield found
    elif found is None or found.text != text:
        yield WriteFile(path=path, before=found.before if found else None, after=text.encode())
