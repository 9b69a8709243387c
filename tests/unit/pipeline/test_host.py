from pathlib import Path

import pytest

from vmdk2kvm.pipeline import host
from vmdk2kvm.pipeline.host import HostCheck, PackageManager, State, install_command


def check(name: str, state: State, package: str | None) -> HostCheck:
    return HostCheck(name=name, state=state, message="m", package=package)


@pytest.mark.parametrize("manager", PackageManager)
def test_one_command_installs_all_that_is_missing(
    manager: PackageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "find", lambda name: Path("/bin") if name == manager.value else None)
    checks = [
        check("qemu-img", State.MISSING, "qemu-img"),
        check("ovmf", State.LACKING, "ovmf"),
        check("supermin", State.OK, "supermin"),
        check("kvm", State.LACKING, None),
    ]
    command = install_command(checks)
    expected = {
        PackageManager.APT: "sudo apt-get install qemu-utils ovmf",
        PackageManager.DNF: "sudo dnf install qemu-img edk2-ovmf",
        PackageManager.ZYPPER: "sudo zypper install qemu-tools qemu-ovmf-x86_64",
    }
    assert command == expected[manager]


def test_nothing_missing_needs_no_command() -> None:
    assert install_command([check("qemu-img", State.OK, None)]) is None


def test_an_unknown_package_manager_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "find", lambda name: None)
    assert install_command([check("a", State.MISSING, "qemu-img")]) == (
        "install with this host's own package manager: qemu-img"
    )


def test_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "find", lambda name: None)
    assert host._program("qemu-img", "copies").state is State.MISSING
    monkeypatch.setattr(host, "find", lambda name: Path("/bin/qemu-img"))
    assert host._program("qemu-img", "copies").message == "/bin/qemu-img"


def test_the_binding_may_hide_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "guestfs.py").write_text("")
    assert host._binding(lambda name: object()).state is State.OK
    monkeypatch.setattr(host, "_SYSTEM_BINDINGS", (str(tmp_path / "guestfs.py"),))
    hidden = host._binding(lambda name: None)
    assert hidden.remedy is not None and "--system-site-packages" in hidden.remedy
    monkeypatch.setattr(host, "_SYSTEM_BINDINGS", (str(tmp_path / "none.py"),))
    assert host._binding(lambda name: None).package == "guestfs"


def test_the_kernel_must_be_there_and_readable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SUPERMIN_KERNEL", raising=False)
    assert host._kernel(tmp_path).package == "kernel"
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1").write_text("")
    assert host._kernel(tmp_path).state is State.OK
    monkeypatch.setattr(host.os, "access", lambda path, mode: False)
    assert host._kernel(tmp_path).remedy == "sudo chmod 0644 /boot/vmlinuz-*"


def test_room(tmp_path: Path) -> None:
    assert host._room(tmp_path, 1).state is State.OK
    assert host._room(tmp_path, 2**62).state is State.LACKING


def test_kvm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    monkeypatch.setattr(host, "find", lambda name: Path("/bin/qemu-system-x86_64"))
    monkeypatch.setattr(host.accelerator, "DEVICE", device)
    monkeypatch.setattr(host.accelerator, "probe", lambda: host.accelerator.Accelerator.TCG)
    assert host._kvm().message.startswith("no /")
    device.write_text("")
    assert "no virtual CPU starts" in host._kvm().message
    monkeypatch.setattr(host.os, "access", lambda path, mode: False)
    assert "no right to use" in host._kvm().message
    monkeypatch.setattr(host.accelerator, "probe", lambda: host.accelerator.Accelerator.KVM)
    assert host._kvm().state is State.OK
