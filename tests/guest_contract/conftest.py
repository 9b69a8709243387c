"""The guests the contract is held against.

To add an implementation: append its name to `GUESTS` (with its marks) and write a fixture called
`populate_<name>` that returns a function of the same shape as `populate_memory`'s: it receives the
files, empties the guest, fills it with exactly them, and returns the GuestWriter. The same guest may
be handed out again and again, so that one appliance serves the whole suite.
"""

from collections.abc import Callable, Mapping

import pytest

from vmdk2kvm.guest.memory import MemoryGuest, Node
from vmdk2kvm.guest.protocol import GuestWriter

Populate = Callable[[Mapping[str, bytes | str | Node]], GuestWriter]

GUESTS = ["memory"]


@pytest.fixture
def populate_memory() -> Populate:
    return MemoryGuest


@pytest.fixture(params=GUESTS)
def populate(request: pytest.FixtureRequest) -> Populate:
    found: Populate = request.getfixturevalue(f"populate_{request.param}")
    return found
