"""What stays of a boot test where QEMU or the host's disk failed; no QEMU is started."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmdk2kvm.errors import OutputNotWritable, ToolFailed
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.report import BootBus, Verdict
from vmdk2kvm.target import qemu
from vmdk2kvm.target.judgement import Judgement
from vmdk2kvm.target.qmp import QmpError
from vmdk2kvm.tools.accelerator import Accelerator


class Eyes:
    def __init__(self, running: object, console_log: object, scratch: Path) -> None:
        pass

    def observe(self, now_s: float) -> None:
        raise QmpError("gone")

    def keep_evidence(self, folder: Path) -> None:
        pass

    def typed(self) -> tuple[tuple[str, str], ...]:
        return (("passphrase", "typed once on the keyboard"),)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> qemu.BootSpec:
    @contextmanager
    def start(machine: object, log_file: Path) -> Iterator[Any]:
        log_file.write_text("qemu: no such device\n")
        yield SimpleNamespace(process=SimpleNamespace(wait=lambda timeout_s: 1), argv=("qemu",))

    monkeypatch.setattr(qemu.qemu_system, "start", start)
    monkeypatch.setattr(qemu, "_Eyes", Eyes)
    return qemu.BootSpec(
        images=(tmp_path / "a",),
        firmware=Firmware.BIOS,
        bus=BootBus.VIRTIO_BLK,
        accelerator=Accelerator.TCG,
        scratch=tmp_path,
        evidence_folder=tmp_path / "boot",
        expects_witness=True,
    )


def test_the_log_of_a_qemu_that_failed_is_where_the_hint_says(spec: qemu.BootSpec) -> None:
    with pytest.raises(ToolFailed, match="no such device") as failed:
        qemu.boot(spec)
    kept = spec.evidence_folder / "qemu.log"
    assert kept.read_text() == "qemu: no such device\n"
    assert str(kept) in failed.value.hint
    assert "boot/qemu.log" in QmpError("gone").hint


def test_the_log_of_a_qemu_that_worked_is_not_kept(
    spec: qemu.BootSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted = Judgement(failure=None, detail="", facts=(), findings=())
    monkeypatch.setattr(qemu, "_watch", lambda *_: (booted, None))
    evidence = qemu.boot(spec)
    assert evidence.verdict is Verdict.BOOTED
    assert evidence.facts == (("passphrase", "typed once on the keyboard"),)
    assert evidence.evidence == ("boot/witness.json",), "an empty console.log is no evidence"
    assert sorted(path.name for path in spec.evidence_folder.iterdir()) == ["console.log", "witness.json"]


@pytest.mark.parametrize("name", ["", "console.log", "witness.json"])
def test_evidence_that_cannot_be_written(
    spec: qemu.BootSpec, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    booted = Judgement(failure=None, detail="", facts=(), findings=())
    monkeypatch.setattr(qemu, "_watch", lambda *_: (booted, None))
    if name:
        (spec.evidence_folder / name).mkdir(parents=True)
    else:
        spec.evidence_folder.write_text("a file in the way")
    with pytest.raises(OutputNotWritable) as refused:
        qemu.boot(spec)
    assert refused.value.path == (spec.evidence_folder / name if name else spec.evidence_folder)
