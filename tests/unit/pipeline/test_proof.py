"""What a boot test is told of a guest that cannot be looked into."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.luks_headers import UUID, argon2, luks2
from tests.memory_session import ESP, Locked, MemorySession, disk, partition
from vmdk2kvm.errors import GuestRefused, NoOperatingSystem
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.report import BootBus
from vmdk2kvm.pipeline import assemble, proof
from vmdk2kvm.stages.validate import Placed


def placed(
    monkeypatch: pytest.MonkeyPatch, session: MemorySession, error: GuestRefused | NoOperatingSystem
) -> Placed:
    @contextmanager
    def opened(run: object, overlays: object) -> Iterator[MemorySession]:
        yield session

    def refuse(run: object, opened: object) -> object:
        raise error

    monkeypatch.setattr(assemble, "opened", opened)
    monkeypatch.setattr(assemble, "look_into", refuse)
    run: Any = SimpleNamespace(nics=(), settings=SimpleNamespace(boot_bus=None))
    return proof._place(run, [], ())


def locked(*, boot_code: bytes) -> MemorySession:
    container = Locked(luks2(keyslots={"0": argon2(2 << 20)}), b"secret", "ext4")
    devices = [
        disk("/dev/sda", 0, boot_code=boot_code),
        replace(partition("/dev/sda1", "vfat"), part_type=ESP),
        partition("/dev/sda2", "crypto_LUKS", UUID),
    ]
    return MemorySession(devices, {}, luks={"/dev/sda2": container})


@pytest.mark.parametrize(("boot_code", "firmware"), [(b"", Firmware.UEFI), (b"\xeb\x63", Firmware.BIOS)])
def test_a_locked_guest_is_started_as_its_disks_say(
    monkeypatch: pytest.MonkeyPatch, boot_code: bytes, firmware: Firmware
) -> None:
    found = placed(monkeypatch, locked(boot_code=boot_code), GuestRefused("it is locked.", hint="h"))
    assert (found.witness, found.firmware, found.bus) == (False, firmware, BootBus.VIRTIO_BLK)
    assert (found.passphrases, found.memory_mib) == ((), 2048 + 768)
    assert found.without_witness == "it is locked"


def test_unknown_disks_get_a_controller_that_everything_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    session = MemorySession([disk("/dev/sda", 0)], {})
    found = placed(monkeypatch, session, NoOperatingSystem("nothing is there.", hint="h"))
    assert (found.firmware, found.bus, found.memory_mib) == (Firmware.BIOS, BootBus.SATA, 0)
