from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.fixes.interface_ties import Evidence, Ties, find_ties
from vmdk2kvm.model.network import Nic

A, B, C = (f"00:50:56:00:00:0{digit}" for digit in "123")


def evidence(*sources: dict[str, str]) -> Evidence:
    return Evidence(
        sources=tuple({name: frozenset(macs.split()) for name, macs in each.items()} for each in sources)
    )


def ties(
    names: str, *nics: Nic, told: Evidence | None = None, started: str | None = None
) -> tuple[dict[str, str | None], str, str]:
    found = find_ties(
        names.split(), nics, told or Evidence(), started=(names if started is None else started).split()
    )
    return dict(found.macs), " ".join(found.unknown), " ".join(found.cardless)


def test_one_name_and_no_card_known_is_the_only_card() -> None:
    assert ties("ens192") == ({"ens192": None}, "", "")
    assert ties("ens192", told=evidence({"ens192": A})) == ({"ens192": A}, "", "")


def test_two_names_and_no_card_known_need_evidence() -> None:
    assert ties("a b") == ({}, "a b", "")
    assert ties("a b", told=evidence({"a": A})) == ({"a": A}, "b", "")


def test_one_name_and_one_card() -> None:
    assert ties("ens192", Nic(mac=A)) == ({"ens192": A}, "", "")
    assert ties("ens192", Nic(mac=A), told=evidence({"ens192": B})) == ({"ens192": A}, "", "")


def test_two_cards_and_nothing_that_tells_them_apart() -> None:
    assert ties("a b", Nic(mac=A), Nic(mac=B)) == ({}, "a b", "")
    assert ties("a", Nic(mac=A), Nic(mac=B)) == ({}, "a", "")


def test_the_operator_is_believed_before_the_guest_and_the_guest_before_slots() -> None:
    nics = (Nic(mac=A, name="a", slot=7), Nic(mac=B, slot=192), Nic(mac=C))
    told = evidence({"a": B, "ens192": A}, {"ens192": C})
    found = ties("a ens192 ens224", *nics, told=told)
    assert found == ({"a": A, "ens192": C, "ens224": B}, "", "")


def test_slots() -> None:
    nics = (Nic(mac=A, slot=224), Nic(mac=B, slot=192), Nic(mac=C, slot=256))
    assert ties("ens192 ens224", *nics) == ({"ens192": B, "ens224": A}, "", "")


def test_a_card_that_two_names_claim_belongs_to_neither() -> None:
    nics = (Nic(mac=A), Nic(mac=B))
    assert ties("a b", *nics, told=evidence({"a": A, "b": A})) == ({}, "a b", "")


def test_a_name_with_two_cards_is_not_certain() -> None:
    nics = (Nic(mac=A), Nic(mac=B))
    assert ties("a", *nics, told=evidence({"a": f"{A} {B}"})) == ({}, "a", "")


def test_the_last_name_and_the_last_card_belong_together() -> None:
    assert ties("a b", Nic(mac=A, name="a"), Nic(mac=B)) == ({"a": A, "b": B}, "", "")


def test_a_name_that_is_never_started_gives_way() -> None:
    assert ties("a old", Nic(mac=A), started="a") == ({"a": A}, "", "old")
    assert ties("a old", Nic(mac=A), started="a old") == ({}, "a old", "")


def test_a_told_name_needs_no_configuration() -> None:
    assert ties("", Nic(mac=A, name="lan0")) == ({"lan0": A}, "", "")


_NAMES = st.lists(st.sampled_from("abcdef"), unique=True)
_MACS = st.sampled_from([A, B, C])


@given(
    _NAMES,
    st.lists(_MACS, unique=True),
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.frozensets(_MACS)), max_size=3),
    st.booleans(),
)
def test_every_name_is_told_once_and_no_card_twice(
    names: list[str], macs: list[str], sources: list[dict[str, frozenset[str]]], starts: bool
) -> None:
    found: Ties = find_ties(
        names,
        [Nic(mac=mac) for mac in macs],
        Evidence(sources=tuple(sources)),
        started=names if starts else (),
    )
    assert sorted([*found.macs, *found.unknown, *found.cardless]) == sorted(names)
    used = list(found.macs.values())
    assert len(set(used)) == len(used)
    assert not macs or set(used) <= set(macs)
