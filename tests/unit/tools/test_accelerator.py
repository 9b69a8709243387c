from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vmdk2kvm.tools import accelerator
from vmdk2kvm.tools.accelerator import Accelerator, probe
from vmdk2kvm.tools.run import Completed


@pytest.fixture(autouse=True)
def ask_anew() -> Iterator[None]:
    probe.cache_clear()
    yield
    probe.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, *, usable: bool, status: int | None) -> list[Sequence[str]]:
    """A /dev/kvm that is usable or not, and a QEMU that ends with `status`, or never."""
    started: list[Sequence[str]] = []

    def run(argv: Sequence[str], **options: object) -> Completed:
        started.append(argv)
        if status is None:
            raise TimeoutError
        return Completed(status=status, stdout="", stderr="")

    monkeypatch.setattr(accelerator.os, "access", lambda *_: usable)
    monkeypatch.setattr(accelerator, "run", run)
    return started


@pytest.mark.parametrize(
    ("status", "expected"),
    [(33, Accelerator.KVM), (0, Accelerator.TCG), (134, Accelerator.TCG), (None, Accelerator.TCG)],
)
def test_only_a_vcpu_that_ran_counts(
    monkeypatch: pytest.MonkeyPatch, status: int | None, expected: Accelerator
) -> None:
    started = pretend(monkeypatch, usable=True, status=status)
    assert probe() is expected
    assert probe() is expected
    assert len(started) == 1  # asked once
    assert started[0][started[0].index("-cpu") + 1] == "host"


@pytest.mark.parametrize("status", [33, None])
def test_the_firmware_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch, status: int | None) -> None:
    started = pretend(monkeypatch, usable=True, status=status)
    probe()
    firmware = Path(started[0][started[0].index("-bios") + 1])
    assert firmware.is_absolute() and not firmware.exists()


def test_without_the_device_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started = pretend(monkeypatch, usable=False, status=33)
    assert probe() is Accelerator.TCG
    assert started == []
