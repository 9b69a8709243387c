"""What `inspect` and `doctor` say."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sample_report import EVIL, guest
from vmdk2kvm.cli.main import main
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.pipeline import host
from vmdk2kvm.pipeline.host import HostCheck, State

FINDING = Finding(id="initramfs-no-virtio", level=Level.WARNING, message="no virtio.", remedy="rebuild it.")
INSPECTED = """\
Debian 12 (x86_64, BIOS)
file systems
  /dev/sda1 ext4, 1 GiB, UUID=1 at /
boot loaders
  grub2, BIOS: /boot/grub/grub.cfg
kernels (dracut)
  6.1, /boot/initrd holds no virtio module

on KVM
  warning: no virtio.
    rebuild it.
"""


def inspecting(monkeypatch: pytest.MonkeyPatch, os: Any, *findings: Finding) -> None:
    inspected = SimpleNamespace(os=os, findings=findings)
    stand_in = SimpleNamespace(inspect=lambda settings, on_event: inspected)
    monkeypatch.setitem(sys.modules, "vmdk2kvm.pipeline.migrate", stand_in)  # type: ignore[arg-type]


def test_inspect_reads_like_this(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    inspecting(monkeypatch, guest("Debian 12"), FINDING)
    assert main(["inspect", "--vmdk", "a"]) == 0
    assert capsys.readouterr().out == INSPECTED


def test_inspect_of_a_guest_with_little_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = guest("x").kernels[0]
    unreadable = replace(kernel.initramfs, error="cut off", modules=frozenset())
    virtio = replace(kernel.initramfs, modules=frozenset({"virtio_pci", "virtio_blk", "ext4"}))
    system = guest("x").names.filesystems[0]
    os = replace(
        guest("x"),
        initramfs_tool=None,
        mounts=(),
        kernels=(
            replace(kernel, initramfs=None),
            replace(kernel, initramfs=unreadable),
            replace(kernel, initramfs=virtio),
        ),
        names=replace(
            guest("x").names,
            filesystems=(replace(system, uuid=None), replace(system, uuid=None, label=None)),
        ),
    )
    inspecting(monkeypatch, os)
    assert main(["inspect", "--vmdk", "a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["  /dev/sda1 ext4, 1 GiB, LABEL=x", "  /dev/sda1 ext4, 1 GiB, no UUID"]
    assert lines[6:] == [
        "kernels (no known initramfs tool)",
        "  6.1, no initramfs",
        "  6.1, /boot/initrd cannot be read: cut off",
        "  6.1, /boot/initrd holds virtio_blk, virtio_pci",
        "",
        "on KVM: nothing was found that would break",
    ]


def test_inspect_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    inspecting(monkeypatch, guest(EVIL), FINDING)
    assert main(["inspect", "--vmdk", "a", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["guest", "findings"]
    assert told["guest"]["firmware"] == "bios"
    assert told["findings"][0]["remedy"] == "rebuild it."


def test_a_hostile_guest_cannot_act_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inspecting(monkeypatch, guest(EVIL), replace(FINDING, message=EVIL, remedy=EVIL))
    assert main(["inspect", "--vmdk", "a"]) == 0
    out = capsys.readouterr().out
    assert not set(out) & {"\x1b", "\u202e", "\udcff"}
    assert out.count("\n") == INSPECTED.count("\n")


CHECKS = (
    HostCheck(name="qemu-img", state=State.OK, message="/usr/bin/qemu-img"),
    HostCheck(name="kvm", state=State.LACKING, message="slow", remedy="turn it on"),
)
MISSING = HostCheck(name="supermin", state=State.MISSING, message="not installed", package="supermin")
DOCTOR = """\
ok       qemu-img            /usr/bin/qemu-img
lacking  kvm                 slow
                             → turn it on
missing  supermin            not installed

to install what is missing:
  sudo apt-get install supermin

not ready
"""


def test_doctor_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "check_host", lambda: (*CHECKS, MISSING))
    monkeypatch.setattr(host, "package_manager", lambda: host.PackageManager.APT)
    assert main(["doctor"]) == 8
    assert capsys.readouterr().out == DOCTOR
    assert main(["doctor", "--json"]) == 8
    told = json.loads(capsys.readouterr().out)
    assert (told["ready"], told["install"]) == (False, "sudo apt-get install supermin")
    assert told["checks"][1] == {"name": "kvm", "state": "lacking", "message": "slow", "remedy": "turn it on"}


def test_doctor_is_content_with_what_is_only_slower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "check_host", lambda: CHECKS)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("turn it on\n\nready\n")
