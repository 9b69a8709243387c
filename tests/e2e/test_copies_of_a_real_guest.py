"""What a copy of a real guest holds: the flattened disk every byte, a trimmed one no deleted blocks."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests.proof import COMMAND, TIMEOUT_S
from vmdk2kvm.model.units import MIB

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]

DELETED_MIB = 48
ROOT_START_BYTES = MIB  # of the first partition


def sh(*arguments: str | Path) -> str:
    return subprocess.run(
        list(map(str, arguments)), check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    ).stdout


@pytest.fixture
def untidy_disk(guest_disk: Callable[[str], Path], tmp_path: Path) -> Path:
    """A guest that needs no repair and has deleted a large file, whose blocks its disk still holds."""
    flat = tmp_path / "disk-flat.vmdk"
    sh("qemu-img", "convert", "-f", "vmdk", "-O", "raw", guest_disk("bios-ext4-virtio"), flat)
    big = tmp_path / "big"
    big.write_bytes(b"\xa5" * (DELETED_MIB * MIB))
    for request in (f"write {big} big", "rm big"):
        sh("debugfs", "-w", "-R", request, f"{flat}?offset={ROOT_START_BYTES}")
    big.unlink()
    disk = tmp_path / "disk.vmdk"
    disk.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=0000000a\nparentCID=ffffffff\n"
        'createType="monolithicFlat"\n# Extent description\n'
        f'RW {flat.stat().st_size // 512} FLAT "{flat.name}" 0\n'
    )
    return disk


def test_a_materialized_disk_is_the_source_and_a_trimmed_one_holds_nothing_deleted(
    untidy_disk: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    sh(COMMAND, "local", "--vmdk", untidy_disk, "--output-dir", out, "--flatten", "materialize", "--trim")
    flattened, copy = out / "disk/disk-disk0-flattened.qcow2", out / "disk/disk-disk0.qcow2"
    source = tmp_path / "disk-flat.vmdk"
    sh("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, flattened)
    assert data_bytes(flattened) - data_bytes(copy) >= DELETED_MIB * MIB

    found = json.loads((out / "disk/report.json").read_text())
    assert found["changes"] == []
    assert "not-trimmed" not in {finding["id"] for finding in found["findings"]}


def data_bytes(image: Path) -> int:
    extents = json.loads(sh("qemu-img", "map", "--output=json", "-f", "qcow2", image))
    return sum(extent["length"] for extent in extents if extent["data"])
