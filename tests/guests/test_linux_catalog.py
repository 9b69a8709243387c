"""The Linux machines cover what they are said to cover, and none of it changes the older guests."""

from collections import Counter
from itertools import combinations

import pytest

from tests.guests import nvram, storage
from tests.guests.catalog import GUESTS
from tests.guests.linux_catalog import BOOKWORM, CHOICES, LINUX, TRIXIE, Choice, LinuxGuest
from tests.guests.linux_disk import entry_name, render_script

FACTORS = ("storage", "loader", "network", "suite")


def values(choice: Choice) -> dict[str, object]:
    return {factor: getattr(choice, factor) for factor in FACTORS}


@pytest.mark.parametrize("factor", FACTORS)
def test_every_value_is_there_twice_at_least(factor: str) -> None:
    assert min(Counter(values(choice)[factor] for choice in CHOICES).values()) >= 2


def test_each_release_has_five_machines_at_least() -> None:
    assert len(CHOICES) == 11
    assert min(sum(choice.suite == suite for choice in CHOICES) for suite in (BOOKWORM, TRIXIE)) >= 5


def test_no_pair_is_met_twice_but_with_a_release() -> None:
    pairs = Counter(
        pair
        for choice in CHOICES
        for pair in combinations((c for k, c in values(choice).items() if k != "suite"), 2)
    )
    assert set(pairs.values()) == {1}
    for factor in FACTORS[:-1]:
        met = {(values(choice)[factor], choice.suite) for choice in CHOICES}
        assert len(met) == 2 * len({value for value, _ in met})


def test_every_kind_of_vmdk_is_there() -> None:
    assert len({disk.subformat for guest in LINUX for disk in guest.disks}) == 5


def test_names_addresses_and_entries_are_nobody_elses() -> None:
    entries = {entry_name(guest) for guest in LINUX}
    addresses = [card.address for guest in LINUX for card in guest.cards]
    assert len(entries) == 11 and len(addresses) == len(set(addresses))
    assert not {guest.name for guest in LINUX} & set(GUESTS)


@pytest.mark.parametrize("guest", LINUX, ids=lambda guest: guest.name)
def test_the_script_knows_the_kernel_and_every_disk(guest: LinuxGuest) -> None:
    script = render_script(guest, "6.1.0-1-amd64")
    assert "KVER" not in script
    assert ("$B" in guest.storage or "${B}" in guest.storage) is (len(guest.disks) == 2)


def test_a_boot_entry_stands_in_the_variables_of_the_firmware() -> None:
    head = bytearray(b"\xff" * 4096)
    head[0x30:0x32] = (72).to_bytes(2, "little")
    store = nvram.with_boot_entry(bytes(head), "\\EFI\\debian\\grubx64.efi", 64)
    assert len(store) == len(head) and store[100:102] == b"\xaa\x55"
    assert "\\EFI\\debian\\grubx64.efi".encode("utf-16-le") in store
    again = nvram.with_boot_entry(store, "\\x.efi", 64)  # behind those that are there
    assert again.startswith(store.rstrip(b"\xff")) and storage.ESP_GUID
