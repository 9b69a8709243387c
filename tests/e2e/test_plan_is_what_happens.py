"""A plan is what a migration does: nothing less, nothing else, and reading it costs nothing."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests.proof import COMMAND, TIMEOUT_S

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]

FLAGS = ("--no-regen-initramfs",)


def vmdk2kvm(*arguments: str | Path) -> str:
    result = subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_plan_is_carried_out_to_the_byte(guest_disk: Callable[[str], Path], tmp_path: Path) -> None:
    disk, folder = guest_disk("bios-ext4"), tmp_path / "bios-ext4"
    source = hashlib.sha256(disk.read_bytes()).hexdigest()
    options = ("--vmdk", disk, "--output-dir", tmp_path, *FLAGS)

    shown = vmdk2kvm("plan", *options)
    assert {path.name for path in folder.iterdir()} == {"plan.json", "report.json", "report.md"}
    planned = (folder / "plan.json").read_text()
    assert "+UUID=" in shown and "--- a/etc/fstab" in shown
    assert "repair-left-out" in (folder / "report.json").read_text()

    vmdk2kvm("local", *options)
    report = (folder / "report.json").read_text()
    assert json.loads((folder / "plan.json").read_text())["changes"] == json.loads(planned)["changes"]
    changed = [change["path"] for change in json.loads(report)["changes"]]
    assert changed == [change["path"] for change in json.loads(planned)["changes"]]
    assert content_of(folder / "bios-ext4-disk0.qcow2", changed) == after(json.loads(planned))

    vmdk2kvm("plan", *options)
    assert (folder / "report.json").read_text() == report, "a plan replaced a migration's report"
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == source


def after(plan: dict) -> dict[str, str | None]:
    """The SHA-256 each changed file is to have; None: it is to be gone."""
    wanted = {}
    for change in plan["changes"]:
        wanted[change["path"]] = change["after"]["sha256"] if change.get("after") else None
    return wanted


def content_of(image: Path, paths: list[str]) -> dict[str, str | None]:
    import guestfs

    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend("direct")
    handle.set_backend_setting("force_tcg", "1")
    handle.add_drive(str(image), format="qcow2", readonly=True)
    handle.launch()
    handle.mount_ro("/dev/sda1", "/")
    found = {
        path: hashlib.sha256(handle.read_file(path)).hexdigest() if handle.is_file(path) else None
        for path in paths
    }
    handle.close()
    return found
