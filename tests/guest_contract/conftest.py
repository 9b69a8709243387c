"""The guests the contract is held against.

To add an implementation: append its name to `GUESTS` (with its marks) and write a fixture called
`populate_<name>` that returns a function of the same shape as `populate_memory`'s: it receives the
files, empties the guest, fills it with exactly them, and returns the GuestWriter. The same guest may
be handed out again and again, so that one appliance serves the whole suite.
"""

from collections.abc import Callable, Iterator, Mapping

import pytest

from vmdk2kvm.guest.memory import MemoryGuest, Node
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.guest.protocol import GuestWriter

Populate = Callable[[Mapping[str, bytes | str | Node]], GuestWriter]

GUESTS = ["memory", pytest.param("offline", marks=pytest.mark.appliance)]


@pytest.fixture
def populate_memory() -> Populate:
    return MemoryGuest


@pytest.fixture(scope="session")
def offline_guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineGuest]:
    from tests.offline_guests import shelf  # needs libguestfs

    with shelf([64], tmp_path_factory.mktemp("contract")) as disks:
        with disks.guest("mkfs.ext4 -q $A") as session:
            session.mount("/dev/sda", "/")
            yield session


@pytest.fixture
def populate_offline(offline_guest: OfflineGuest) -> Populate:
    from tests.offline_guests import empty, fill

    def populate(files: Mapping[str, bytes | str | Node]) -> GuestWriter:
        empty(offline_guest)
        fill(offline_guest, files)
        return offline_guest

    return populate


@pytest.fixture(params=GUESTS)
def populate(request: pytest.FixtureRequest) -> Populate:
    found: Populate = request.getfixturevalue(f"populate_{request.param}")
    return found
