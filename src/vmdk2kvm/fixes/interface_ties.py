"""Which network card each interface name of a guest belongs to: told, or told by the guest, never guessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vmdk2kvm.model.network import Nic


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """MACs that the guest's files give each name, the stronger source first."""

    sources: tuple[Mapping[str, frozenset[str]], ...] = ()

    def of(self, name: str, among: frozenset[str] | None) -> frozenset[str]:
        """What the strongest source says that knows a MAC `among` those of the machine (None: any)."""
        for source in self.sources:
            found = source.get(name, frozenset())
            found = found if among is None else found & among
            if found:
                return found
        return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """`macs` are the cards of the names that are certain; None: the machine's only card, whichever it is.

    `unknown` may be one of several cards; `cardless` are left over when each card has its name.
    """

    macs: Mapping[str, str | None] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    cardless: tuple[str, ...] = ()


def find_ties(
    names: Sequence[str], nics: Sequence[Nic], evidence: Evidence, *, started: Iterable[str]
) -> Ties:
    """`names` are those the configuration uses, `started` the ones among them that come up at boot."""
    told = {nic.name: nic.mac for nic in nics if nic.name}
    wanted = tuple(dict.fromkeys([*told, *names]))
    if not nics:
        return _without_nics(wanted, evidence)
    among = frozenset(nic.mac for nic in nics)
    untold = among - set(told.values())
    by_slot = {
        f"ens{nic.slot}": frozenset({nic.mac}) for nic in nics if nic.slot is not None and not nic.name
    }
    certain: dict[str, frozenset[str]] = {}
    for name in wanted:
        found = frozenset({told[name]}) if name in told else evidence.of(name, untold)
        certain[name] = found or by_slot.get(name, frozenset())
    macs = _distinct(certain)
    return _by_elimination(macs, wanted, among, frozenset(started))


def _without_nics(names: Sequence[str], evidence: Evidence) -> Ties:
    macs: dict[str, str | None] = dict(_distinct({name: evidence.of(name, None) for name in names}))
    if len(names) == 1 and names[0] not in macs:
        macs[names[0]] = None
    return Ties(macs=macs, unknown=tuple(name for name in names if name not in macs))


def _distinct(found: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """The names that have one card, which no other name claims."""
    single = {name: next(iter(macs)) for name, macs in found.items() if len(macs) == 1}
    claimed = list(single.values())
    return {name: mac for name, mac in single.items() if claimed.count(mac) == 1}


def _by_elimination(
    macs: dict[str, str], names: Sequence[str], among: frozenset[str], started: frozenset[str]
) -> Ties:
    """One name and one card left over belong together; so do one that is started at boot and one card."""
    cards = among - set(macs.values())
    left = [name for name in names if name not in macs]
    live = [name for name in left if name in started]
    if len(cards) == 1 and (len(left) == 1 or len(live) == 1):
        chosen = left[0] if len(left) == 1 else live[0]
        macs = {**macs, chosen: next(iter(cards))}
        cards, left = frozenset(), [name for name in left if name != chosen]
    return Ties(
        macs=macs,
        unknown=tuple(left) if cards else (),
        cardless=() if cards else tuple(left),
    )
