"""One appliance for a guest; a second one where a LUKS header asks for more memory than the first has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.luks_headers import UUID, argon2, luks2
from tests.memory_session import Locked, MemorySession, disk, partition
from vmdk2kvm.errors import GuestRefused
from vmdk2kvm.guest.offline import MEMORY_MIB
from vmdk2kvm.model.luks import LuksKey, LuksKeys, Secret
from vmdk2kvm.pipeline import assemble
from vmdk2kvm.tools.accelerator import Accelerator

KEY = LuksKey(secret=Secret(b"secret"), setting="luks_keyfile")


@dataclass
class Host:
    """Appliances that were started, and how they ended."""

    memory_kib: int
    started_mib: list[int] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def open_guest(
        self, overlays: Sequence[Path], *, memory_mib: int, **_: object
    ) -> Iterator[MemorySession]:
        self.started_mib.append(memory_mib)
        container = Locked(luks2(keyslots={"0": argon2(self.memory_kib)}), b"secret", "ext4")
        try:
            yield MemorySession(
                [disk("/dev/sda", 0), partition("/dev/sda1", "crypto_LUKS", UUID)],
                {},
                luks={"/dev/sda1": container},
            )
        except GuestRefused:
            self.ended.append("abandoned")
            raise
        self.ended.append("closed")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    one = Host(memory_kib=1 << 20)
    monkeypatch.setattr(assemble, "open_guest", one.open_guest)
    monkeypatch.setattr(assemble, "probe", lambda: Accelerator.KVM)
    return one


def run(host: Host, keys: LuksKeys) -> Any:
    return SimpleNamespace(luks_keys=keys, folder=SimpleNamespace(tmp=Path("/t")), note=host.notes.append)


def test_one_appliance_is_enough_for_the_usual_header(host: Host) -> None:
    with assemble.opened(run(host, LuksKeys(for_all=(KEY,))), []) as session:
        assert session.luks_keys("/dev/sda1") == (KEY, ())
    assert (host.started_mib, host.ended, host.notes) == ([MEMORY_MIB], ["closed"], [])


def test_a_costly_header_gets_an_appliance_of_its_size(host: Host) -> None:
    host.memory_kib = 4 << 20
    with assemble.opened(run(host, LuksKeys(for_all=(KEY,))), []) as session:
        assert session.luks_keys("/dev/sda1") == (KEY, ())
        assert host.ended == ["closed"]
    assert host.started_mib == [MEMORY_MIB, 4096 + 768]
    assert host.ended == ["closed", "closed"]
    assert "4864 MiB" in host.notes[0]


def test_without_a_key_nothing_is_asked(host: Host) -> None:
    host.memory_kib = 4 << 20
    with assemble.opened(run(host, LuksKeys()), []) as session:
        assert session.luks_keys("/dev/sda1") == (None, ())
    assert host.started_mib == [MEMORY_MIB]


def test_a_key_for_no_volume_is_told(host: Host) -> None:
    with assemble.opened(run(host, LuksKeys(by_volume={"x\x1b[31m": (KEY,)}, for_all=(KEY,))), []):
        pass
    (note,) = host.notes
    assert "luks_keys" in note and "\x1b" not in note


def test_a_key_that_must_fit_and_does_not_ends_the_appliance(host: Host) -> None:
    own = LuksKey(secret=Secret(b"x"), setting="luks_keys")
    with pytest.raises(GuestRefused), assemble.opened(run(host, LuksKeys(by_volume={UUID: (own,)})), []):
        pytest.fail("it was opened")
    assert host.ended == ["abandoned"]
