"""The interface that carried an address on VMware carries it on KVM: its name stays tied to its card.

udev names a card after its slot ("ens192"), and the slots change. A .link file keeps the name the
configuration uses (systemd.link(5)), on older systems a udev rule; the configuration itself, and with it
bonds, bridges and VLANs, stays as it is. Generated rules that name a card by VMware's hardware, or by a
MAC that does not come along, go away. Where it is not certain which card a name means, nothing is tied.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, with_text
from vmdk2kvm.fixes.interface_naming import Namer, Naming, find_naming
from vmdk2kvm.fixes.interface_ties import Evidence, Ties, find_ties
from vmdk2kvm.fixes.network_files import (
    OUR_LINK,
    NetworkFiles,
    Said,
    read_link_files,
    read_network_files,
)
from vmdk2kvm.fixes.network_findings import findings_of
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.formats import networkd, udev_rules
from vmdk2kvm.formats.udev_rules import NamingRule
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, InitramfsTool
from vmdk2kvm.model.network import Nic
from vmdk2kvm.model.report import Finding

RULES = "/etc/udev/rules.d/70-vmdk2kvm-net.rules"
DRACUT_DROP_IN = "/etc/dracut.conf.d/91-vmdk2kvm-network.conf"
_GENERATED = ("/etc/udev/rules.d/*persistent-net.rules", "/etc/udev/rules.d/*net_persistent_names.rules")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """One file of udev rules: those that name a card, and which of them are stale."""

    file: GuestText
    rules: tuple[NamingRule, ...]
    stale: tuple[NamingRule, ...]


def plan(guest: GuestReader, os: GuestOs) -> Planned:
    files, links, naming = read_network_files(guest), read_link_files(guest), find_naming(guest)
    generated, unread = _read_rules(guest, os.nics)
    for one in generated:
        if one.stale:
            yield with_text(one.file, udev_rules.without(one.file.text, one.stale))
    names = files.card_names()
    kept = [rule for one in generated for rule in one.rules if rule not in one.stale]
    sources = (_insisted(files.said), _ruled(kept), _insisted(links.said), _ours(guest))
    started = [name for name in names if files.starts(name)]
    ties = find_ties(names, os.nics, Evidence(sources=sources), started=started)
    yield from _tie(guest, os, naming, ties, _tied_already(files, links, kept))
    found = (*files.findings, *links.findings, *unread, *findings_of(files, os.nics, naming, ties))
    yield from bounded(found, "/etc")


NETWORK_NAMES_FIX = Fix(
    name="network-stable-names",
    reason="an interface that KVM's slots give another name loses its addresses",
    families=LINUX_FAMILIES,
    plan=plan,
)


# what the guest says


def _read_rules(guest: GuestReader, nics: Sequence[Nic]) -> tuple[list[_Rules], list[Finding]]:
    read, unread = [], []
    for path in sorted({path for pattern in _GENERATED for path in guest.glob(pattern)}):
        file = read_guest_text(guest, path)
        if isinstance(file, Finding):
            unread.append(file)
        elif file is not None:
            rules = udev_rules.naming_rules(file.text)
            stale = tuple(rule for rule in rules if _is_stale(rule, nics))
            read.append(_Rules(file=file, rules=rules, stale=stale))
    return read, unread


def _is_stale(rule: NamingRule, nics: Sequence[Nic]) -> bool:
    left_behind = bool(nics) and rule.mac is not None and rule.mac not in {nic.mac for nic in nics}
    return rule.hardware is not None or left_behind


def _insisted(said: Sequence[Said]) -> dict[str, frozenset[str]]:
    """The MACs that the files insist on, by name."""
    return _by_name((one.interface.name, one.interface.mac) for one in said)


def _ruled(rules: Sequence[NamingRule]) -> dict[str, frozenset[str]]:
    return _by_name((rule.name, rule.mac) for rule in rules)


def _ours(guest: GuestReader) -> dict[str, frozenset[str]]:
    """What an earlier run tied, which may have removed the rules that told it."""
    start, _, end = OUR_LINK.partition("{name}")
    links = (read_guest_text(guest, path) for path in guest.glob(f"{start}*{end}"))
    texts = [file.text for file in links if isinstance(file, GuestText)]
    rules = read_guest_text(guest, RULES)
    ruled = udev_rules.naming_rules(rules.text) if isinstance(rules, GuestText) else ()
    linked = (interface for text in texts for interface in networkd.parse_link(text))
    return _by_name([*((one.name, one.mac) for one in linked), *((rule.name, rule.mac) for rule in ruled)])


def _by_name(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, mac in pairs:
        if name and mac:
            found[name] = found.get(name, frozenset()) | {mac}
    return found


def _tied_already(
    files: NetworkFiles, links: NetworkFiles, rules: Sequence[NamingRule]
) -> frozenset[tuple[str | None, str | None]]:
    """Names and MACs that the guest itself ties together."""
    said = (one.interface for one in (*files.said, *links.said))
    by_files = {(one.name, one.mac) for one in said if one.is_tied}
    return frozenset(by_files | {(rule.name, rule.mac) for rule in rules if rule.mac})


# what is written


def _tie(
    guest: GuestReader,
    os: GuestOs,
    naming: Naming,
    ties: Ties,
    already: frozenset[tuple[str | None, str | None]],
) -> Planned:
    wanted = {name: mac for name, mac in ties.macs.items() if (name, mac) not in already}
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
        yield from _file(guest, RULES, "".join(rules))


def _dracut_items(names: Mapping[str, str | None]) -> str:
    return f'install_items+=" {" ".join(OUR_LINK.format(name=name) for name in names)} "\n'


def _file(guest: GuestReader, path: str, text: str) -> Planned:
    """A file that is wholly ours."""
    found = read_guest_text(guest, path)
    if isinstance(found, Finding):
        yield found
    elif found is None or found.text != text:
        yield WriteFile(path=path, before=found.before if found else None, after=text.encode())
