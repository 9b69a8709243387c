"""Whole runs over disks without a system that can be looked into, booted all the same; and proofs reused.

The disk is a boot sector that says a text to the serial port (tests/appliance/test_boot.py).
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.test_boot import LOAD, SHELL, TO_SERIAL, make_disk
from tests.guests.proof import COMMAND

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

LOGIN = "Debian GNU/Linux 12 web ttyS0\n\nweb login: "
COPIED = tuple(word for stage in ("fetch", "flatten", "convert") for word in ("--stages", stage))
BOOTED = (*COPIED, "--stages", "validate", "--qemu-test")


def vmdk2kvm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def report_of(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.stdout, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def vmdk(folder: Path, text: str) -> Path:
    size_bytes = make_disk(folder / "web-flat.vmdk", LOAD + TO_SERIAL, text).stat().st_size
    (folder / "web.vmdk").write_text(
        "# Disk DescriptorFile\nversion=1\nCID=0000000a\nparentCID=ffffffff\n"
        'createType="monolithicFlat"\n# Extent description\n'
        f'RW {size_bytes // 512} FLAT "web-flat.vmdk" 0\n'
    )
    return folder / "web.vmdk"


def test_a_proof_holds_for_a_later_run_until_the_image_changes(tmp_path: Path) -> None:
    command = ("local", "--vmdk", vmdk(tmp_path, LOGIN), "--output-dir", tmp_path / "out", "--json")
    first = vmdk2kvm(*command, *BOOTED)
    assert first.returncode == 0, first.stderr
    proven = report_of(first)
    assert (proven["boot"]["verdict"], validated(proven)) == ("booted", "ok")
    assert_looked_into_in_vain(proven, "web.vmdk")
    console = tmp_path / "out/web/boot/console.log"
    written = console.stat().st_mtime_ns

    second = vmdk2kvm(*command, *COPIED)
    assert second.returncode == 0, second.stderr
    again = report_of(second)
    assert validated(again) == "reused"
    assert (again["boot"], again["findings"]) == (proven["boot"], proven["findings"])
    assert console.stat().st_mtime_ns == written

    vmdk(tmp_path, SHELL)  # a source that changed is copied anew, and that copy is not proven
    third = vmdk2kvm(*command, *COPIED)
    assert third.returncode == 0, third.stderr
    assert report_of(third)["boot"]["verdict"] == "not-run"
    assert validated(report_of(third)) != "reused"


def validated(report: dict[str, Any]) -> str | None:
    return next((stage["status"] for stage in report["stages"] if stage["name"] == "validate"), None)


def test_an_image_that_cannot_be_looked_into_is_judged_by_what_it_shows(tmp_path: Path) -> None:
    image = make_disk(tmp_path / "web.raw", LOAD + TO_SERIAL, SHELL)
    before = image.read_bytes()
    result = vmdk2kvm("validate", image, "--output-dir", tmp_path / "out", "--json")
    report = report_of(result)
    assert (result.returncode, report["boot"]["reason"]) == (7, "initramfs shell")
    assert_looked_into_in_vain(report, "web.raw")
    assert image.read_bytes() == before


def assert_looked_into_in_vain(report: dict[str, Any], name: str) -> None:
    (doubt,) = [each for each in report["findings"] if each["id"] == "boot-without-witness"]
    assert doubt["message"].startswith(f'"{name}": no operating system was found on "/dev/sda", so ')
