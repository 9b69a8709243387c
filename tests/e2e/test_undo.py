"""`vmdk2kvm undo` on migrated real guests: the list of all paths is the one before."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests.proof import COMMAND
from tests.path_list import path_list
from vmdk2kvm.guest.offline import open_guest
from vmdk2kvm.stages import inspect
from vmdk2kvm.tools.accelerator import probe
from vmdk2kvm.tools.run import run

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]


def migrated(disk: Path, folder: Path, *options: str) -> Path:
    run([str(COMMAND), "local", "--vmdk", str(disk), "--output-dir", str(folder), *options])
    return folder / disk.stem / f"{disk.stem}-disk0.qcow2"


def listed(image: Path, scratch: Path) -> dict[str, tuple[str, ...]]:
    overlay = scratch / "look.qcow2"
    overlay.unlink(missing_ok=True)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(overlay)])
    with open_guest([overlay], scratch=scratch, accelerator=probe()) as session:
        inspect.run(session)
        return path_list(session)


def undone(image: Path, folder: Path) -> dict[str, list[str]]:
    said = subprocess.run(
        [COMMAND, "undo", str(image), "--output-dir", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    told: dict[str, list[str]] = json.loads(said.stdout)
    return told


def test_a_migrated_guest_is_as_it_was(guest_disk: Callable[[str], Path], tmp_path: Path) -> None:
    disk = guest_disk("bios-ext4")
    plain = migrated(disk, tmp_path / "plain", "--stages=fetch", "--stages=flatten", "--stages=convert")
    before = listed(plain, tmp_path)
    fixed = migrated(disk, tmp_path / "fixed", "--no-regen-initramfs")
    assert listed(fixed, tmp_path) != before

    told = undone(fixed, tmp_path / "out")
    assert len(told["plans"]) == 1
    assert "/etc/fstab" in told["restored"]
    assert told["left"] == []
    assert listed(fixed, tmp_path) == before
    assert list(fixed.parent.glob("*.undo*")) == []
    assert not (tmp_path / "out").exists()
    assert undone(fixed, tmp_path / "out")["plans"] == []
