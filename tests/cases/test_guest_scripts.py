"""Scripts that run inside a guest, run here with stand-ins for its programs."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdk2kvm.fixes.vmware_packages import RPM_SCRIPT

HERE = Path(__file__).parent
Program = Callable[[str], str]
SCRIPTS = sorted(HERE.glob("guest-agent/*/after/etc/vmdk2kvm-guest-agent.sh"))

UNITS = sorted(HERE.glob("guest-agent/*/after/etc/systemd/system/*.service"))


def stand_in(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder}/log"\n{body}\n')
    path.chmod(0o755)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parts[-4])
@pytest.mark.parametrize("failures", [0, 3, 1000])
def test_the_agent_is_tried_until_there_is_a_network(
    script: Path, failures: int, tmp_path: Path, program: Program
) -> None:
    for name in ("apt-get", "dnf"):
        count = f'n=$(cat "{tmp_path}/n" 2>/dev/null || echo 0); echo $((n + 1)) >"{tmp_path}/n"'
        stand_in(tmp_path, name, f"{count}; [ $n -ge {failures} ]")
    for name in ("sleep", "systemctl"):
        stand_in(tmp_path, name, "")
    etc = tmp_path / "etc"
    units = etc / "systemd/system/multi-user.target.wants"
    units.mkdir(parents=True)
    left = [etc / "vmdk2kvm-guest-agent.sh", units.parent / "vmdk2kvm-guest-agent.service"]
    left.append(units / "vmdk2kvm-guest-agent.service")
    for path in left:
        path.write_text(script.read_text().replace("/etc/", f"{etc}/"))
    done = subprocess.run(
        [program("dash"), str(left[0])], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=60, check=False
    )
    said = (tmp_path / "log").read_text().splitlines()
    installed = any(line.endswith("install -y qemu-guest-agent") for line in said)
    if failures == 1000:
        assert done.returncode == 1 and all(path.exists() for path in left)
        assert sum(line.startswith("sleep") for line in said) == 59
    else:
        assert done.returncode == 0 and installed and not any(path.exists() for path in left)
        assert "systemctl start qemu-guest-agent.service" in said


@pytest.mark.parametrize(
    "units", sorted(HERE.glob("guest-agent/*/after/etc/systemd/system/*.service")), ids=str
)
def test_systemd_takes_the_unit(units: Path, tmp_path: Path, program: Program) -> None:
    unit = tmp_path / units.name
    unit.write_text(units.read_text().replace("ExecStart=/etc/", "ExecStart=/bin/true /etc/"))
    command = [program("systemd-analyze"), "verify", "--man=no", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert units.name not in result.stderr, result.stderr


@pytest.mark.parametrize(
    ("installed", "status", "removed"),
    [("open-vm-tools open-vm-tools-desktop ", 0, True), ("open-vm-tools ", 1, True), ("", 0, False)],
)
def test_rpm_is_asked_for_what_there_is(
    installed: str, status: int, removed: bool, tmp_path: Path, program: Program
) -> None:
    """The command of the plan; rpm -e refuses as a whole where another package needs one."""
    stand_in(tmp_path, "rpm", f'case $1 in -qa) printf "%s" "{installed}" ;; *) exit {status} ;; esac')
    result = subprocess.run(
        [program("dash"), "-c", RPM_SCRIPT],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        timeout=60,
        check=False,
    )
    said = (tmp_path / "log").read_text().splitlines()
    assert (f"rpm -e {installed.strip()}" in said) is removed
    assert (result.returncode == 0) is (removed and status == 0)


def test_case_options_are_read() -> None:
    """A case that names an option no one reads would prove nothing."""
    known = {
        *("fstab_mode", "with", "remove_vmware_tools", "install_guest_agent"),
        *("guest_agent_package", "cloud_init_datasource"),
    }
    for path in HERE.glob("*/*/plan.json"):
        assert json.loads(path.read_text()).get("options", {}).keys() <= known, path
