"""All that a guest tells about its network cards, and which name belongs to which."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vmdk2kvm.fixes.dhcp_evidence import leases
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text
from vmdk2kvm.fixes.interface_naming import Naming, find_naming
from vmdk2kvm.fixes.interface_ties import Evidence, Ties, find_ties
from vmdk2kvm.fixes.network_files import (
    OUR_LINK,
    NetworkFiles,
    Said,
    read_link_files,
    read_network_files,
)
from vmdk2kvm.formats import networkd, udev_rules
from vmdk2kvm.formats.udev_rules import NamingRule
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.network import Nic
from vmdk2kvm.model.report import Finding

OUR_RULES = "/etc/udev/rules.d/70-vmdk2kvm-net.rules"
_GENERATED = ("/etc/udev/rules.d/*persistent-net.rules", "/etc/udev/rules.d/*net_persistent_names.rules")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One generated file of udev rules: those that name a card, and which of them are stale."""

    file: GuestText
    rules: tuple[NamingRule, ...]
    stale: tuple[NamingRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestCards:
    """`already` are the names and MACs that the guest itself ties together."""

    files: NetworkFiles
    rules: tuple[Rules, ...]
    naming: Naming
    ties: Ties
    already: frozenset[tuple[str | None, str | None]]
    unread: tuple[Finding, ...]


def read_cards(guest: GuestReader, os: GuestOs) -> GuestCards:
    files, links = read_network_files(guest), read_link_files(guest)
    rules, unread = _read_rules(guest, os.nics)
    kept = [rule for one in rules for rule in one.rules if rule not in one.stale]
    names = files.card_names()
    ruled = _by_name((rule.name, rule.mac) for one in rules for rule in one.rules)
    sources = [_insisted(files.said), ruled, _insisted(links.said), _ours(guest)]
    if len(names) > 1:  # with one, there is nothing to tell apart
        sources.append(_by_name(leases(guest)))
    started = [name for name in names if files.starts(name)]
    return GuestCards(
        files=files,
        rules=tuple(rules),
        naming=find_naming(guest),
        ties=find_ties(names, os.nics, Evidence(sources=tuple(sources)), started=started),
        already=_tied_already((*files.said, *links.said), kept),
        unread=(*files.findings, *links.findings, *unread),
    )


def cards_to_test(guest: GuestReader, os: GuestOs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The interfaces a boot test has to find, and the MACs of the cards it needs; () for any one card.

    Where nobody told the machine's cards, they are those that the configuration insists on.
    """
    cards = read_cards(guest, os)
    if os.nics:
        named = (*cards.ties.macs, *cards.ties.unknown)
        return named, tuple(nic.mac for nic in os.nics)
    insisted = (one.interface.mac for one in cards.files.said)
    macs = dict.fromkeys(mac for mac in (*cards.ties.macs.values(), *insisted) if mac)
    return tuple(cards.ties.macs), tuple(macs)[:10]


def _read_rules(guest: GuestReader, nics: Sequence[Nic]) -> tuple[list[Rules], list[Finding]]:
    read, unread = [], []
    for path in sorted({path for pattern in _GENERATED for path in guest.glob(pattern)}):
        file = read_guest_text(guest, path)
        if isinstance(file, Finding):
            unread.append(file)
        elif file is not None:
            rules = udev_rules.naming_rules(file.text)
            stale = tuple(rule for rule in rules if _is_stale(rule, nics))
            read.append(Rules(file=file, rules=rules, stale=stale))
    return read, unread


def _is_stale(rule: NamingRule, nics: Sequence[Nic]) -> bool:
    left_behind = bool(nics) and rule.mac is not None and rule.mac not in {nic.mac for nic in nics}
    return rule.hardware is not None or left_behind


def _insisted(said: Sequence[Said]) -> dict[str, frozenset[str]]:
    """The MACs that the files insist on, by name."""
    return _by_name((one.interface.name, one.interface.mac) for one in said)


def _ours(guest: GuestReader) -> dict[str, frozenset[str]]:
    """What an earlier run tied, which may have removed the rules that told it."""
    start, _, end = OUR_LINK.partition("{name}")
    links = (read_guest_text(guest, path) for path in guest.glob(f"{start}*{end}"))
    texts = [file.text for file in links if isinstance(file, GuestText)]
    linked = [(one.name, one.mac) for text in texts for one in networkd.parse_link(text)]
    rules = read_guest_text(guest, OUR_RULES)
    ruled = udev_rules.naming_rules(rules.text) if isinstance(rules, GuestText) else ()
    return _by_name((*linked, *((rule.name, rule.mac) for rule in ruled)))


def _by_name(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, mac in pairs:
        if name and mac:
            found[name] = found.get(name, frozenset()) | {mac}
    return found


def _tied_already(
    said: Sequence[Said], rules: Sequence[NamingRule]
) -> frozenset[tuple[str | None, str | None]]:
    by_files = {(one.interface.name, one.interface.mac) for one in said if one.interface.is_tied}
    return frozenset(by_files | {(rule.name, rule.mac) for rule in rules if rule.mac})
