"""The stage around the boot: overlays come and go, the image is named to QEMU alone."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.linux_guests import guest_os
from vmdk2kvm.errors import InputNotFound, SourceDiskError, ToolFailed
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.luks import Passphrase, Secret
from vmdk2kvm.model.report import BootBus, BootEvidence, Finding, Level, Verdict
from vmdk2kvm.stages import validate
from vmdk2kvm.stages.validate import Placed
from vmdk2kvm.target.qemu import BootSpec
from vmdk2kvm.tools import qemu_img
from vmdk2kvm.tools.accelerator import Accelerator
from vmdk2kvm.tools.qemu_img import BlockNode

NOTE = Finding(id="note", level=Level.INFO, message="m", remedy="r")


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[BootSpec]:
    """What was booted; overlays are files, QEMU is not started."""
    specs: list[BootSpec] = []

    def boot(spec: BootSpec) -> BootEvidence:
        assert all(image.exists() for image in spec.images)
        specs.append(spec)
        return BootEvidence(
            verdict=Verdict.BOOTED,
            firmware=spec.firmware.value,
            bus=spec.bus.value,
            seconds=1.0,
            findings=(NOTE,),
            facts=(("kernel", "6.1"), ("interface ens192", "00:50:56:00:00:01 virtio_net 192.0.2.1/24")),
        )

    def create_overlay(path: Path, *, backing: BlockNode, backing_format: str) -> None:
        path.write_text(f"{backing_format} {backing.text}")

    monkeypatch.setattr(validate.qemu, "boot", boot)
    monkeypatch.setattr(qemu_img, "create_overlay", create_overlay)
    return specs


def run(tmp_path: Path, placed: Placed, **options: object) -> validate.Validated:
    def place(overlays: Sequence[Path]) -> Placed:
        return placed

    fields: dict[str, object] = {
        "bus": BootBus.VIRTIO_SCSI,
        "scratch": tmp_path,
        "evidence_folder": tmp_path / "boot",
        "accelerator": Accelerator.TCG,
        "place_witness": place,
    }
    images = [(Path("/i/a.qcow2"), OutputFormat.QCOW2), (Path("/i/b.img"), OutputFormat.RAW)]
    return validate.run(images, **{**fields, **options})  # type: ignore[arg-type]


def test_the_guest_says_which_firmware_unless_told(tmp_path: Path, booted: list[BootSpec]) -> None:
    placed = Placed(witness=True, firmware=Firmware.UEFI)
    run(tmp_path, placed)
    run(tmp_path, placed, firmware=Firmware.BIOS)
    assert [spec.firmware for spec in booted] == [Firmware.UEFI, Firmware.BIOS]


def test_the_overlays_are_gone_afterwards(tmp_path: Path, booted: list[BootSpec]) -> None:
    run(tmp_path, Placed(witness=True))
    assert list(tmp_path.iterdir()) == []


def test_the_overlays_are_gone_after_a_failure_too(tmp_path: Path, booted: list[BootSpec]) -> None:
    def fail(overlays: Sequence[Path]) -> Placed:
        raise ToolFailed(["x"], 1, "")

    with pytest.raises(ToolFailed):
        run(tmp_path, Placed(witness=True), place_witness=fail)
    assert list(tmp_path.iterdir()) == []
    assert booted == []


def test_every_disk_is_named_with_its_format_and_no_backing(tmp_path: Path, booted: list[BootSpec]) -> None:
    seen = []

    def place(overlays: Sequence[Path]) -> Placed:
        seen.extend(overlay.read_text().split(" ", 1) for overlay in overlays)
        return Placed(witness=True)

    run(tmp_path, Placed(witness=True), place_witness=place)
    assert [driver for driver, _ in seen] == ["qcow2", "raw"]
    first, second = (json.loads(node.removeprefix("json:")) for _, node in seen)
    assert first["backing"] is None and first["file"]["filename"] == "/i/a.qcow2"
    assert second == {"driver": "raw", "file": {"driver": "file", "filename": "/i/b.img"}}


def test_all_findings_come_out(tmp_path: Path, booted: list[BootSpec]) -> None:
    validated = run(tmp_path, Placed(witness=False, findings=(NOTE,)))
    assert [finding.id for finding in validated.findings] == ["note", "boot-without-witness", "note"]
    assert booted[0].expects_witness is False
    assert validated.findings[1].message.startswith("the guest's init is not systemd, so the guest")


def test_why_there_is_no_witness_is_said(tmp_path: Path, booted: list[BootSpec]) -> None:
    why = "no operating system that this tool knows was found"
    (finding,) = run(tmp_path, Placed(witness=False, without_witness=why)).findings[:1]
    assert finding.id == "boot-without-witness"
    assert finding.message.startswith(f"{why}, so the guest could not report")


def test_a_named_interface_that_is_not_there_is_told(tmp_path: Path, booted: list[BootSpec]) -> None:
    macs = ("00:50:56:00:00:01", "00:50:56:00:00:02")
    validated = run(tmp_path, Placed(witness=True, interfaces=("ens192", "ens224"), macs=macs))
    assert booted[0].macs == macs
    missing, note = validated.findings
    assert (missing.id, missing.level, note) == ("interface-missing", Level.WARNING, NOTE)
    assert '"ens224"' in missing.message and missing.message.endswith('those there were: "ens192".')
    assert "name: ens224" in missing.remedy


def test_another_architecture_is_not_run(tmp_path: Path, booted: list[BootSpec]) -> None:
    validated = run(tmp_path, Placed(witness=False, arch="aarch64"))
    (finding,) = validated.findings
    assert (finding.id, finding.level) == ("boot-not-tested", Level.WARNING)
    assert "aarch64" in finding.message and finding.remedy
    assert validated.boot.verdict is Verdict.NOT_RUN
    assert validated.boot.reason == "no boot test for aarch64"
    assert booted == []


def test_the_witness_is_placed_by_the_interpreter_of_all_plans() -> None:
    guest = MemoryGuest({"/usr/lib/systemd/systemd": b""})
    guest.make_folder("/sbin")
    guest.make_symlink("/sbin/init", "/usr/lib/systemd/systemd")
    assert validate.place(guest, guest_os(guest))
    link = "/etc/systemd/system/sysinit.target.wants/vmdk2kvm-witness.service"
    assert guest.readlink(link) == "/etc/systemd/system/vmdk2kvm-witness.service"
    assert guest.read_bytes("/etc/vmdk2kvm-witness.sh").startswith(b"#!/bin/sh\n")


def test_a_guest_without_systemd_is_left_alone() -> None:
    guest = MemoryGuest({"/sbin/init": b""})
    assert not validate.place(guest, guest_os(guest))
    assert not guest.exists("/etc/vmdk2kvm-witness.sh")


def test_images_are_probed(tmp_path: Path) -> None:
    image = tmp_path / "x.img"
    image.write_bytes(bytes(1024))
    assert validate.probe_image(image) is OutputFormat.RAW
    image.write_bytes(b"KDMV" + bytes(1024))
    with pytest.raises(SourceDiskError, match=r'"/.*x\.img" is a VMDK\.') as refused:
        validate.probe_image(image)
    assert refused.value.path == image
    with pytest.raises(InputNotFound):
        validate.probe_image(tmp_path / "missing")


def test_the_machine_gets_the_passphrases_and_the_memory_for_them(
    tmp_path: Path, booted: list[BootSpec]
) -> None:
    key = Passphrase(secret=Secret(b"x"))
    run(tmp_path, Placed(witness=True, passphrases=(key,), memory_mib=4864))
    run(tmp_path, Placed(witness=True, memory_mib=1792))
    assert [(spec.passphrases, spec.memory_mib) for spec in booted] == [((key,), 4864), ((), 2048)]
