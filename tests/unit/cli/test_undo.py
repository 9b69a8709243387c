"""What `undo` says."""

import json
import sys
from types import SimpleNamespace

import pytest

from tests.sample_report import EVIL
from vmdk2kvm.cli.main import main
from vmdk2kvm.fixes.undo import Undone
from vmdk2kvm.model.report import Finding, Level

FINDING = Finding(id="folder-kept", level=Level.INFO, message="it stays.", remedy="remove it.")
NOTHING = Undone(plans=(), restored=(), removed=(), left=(), findings=())
DONE = Undone(
    plans=("abc",), restored=("/etc/fstab",), removed=("/etc/new",), left=("/var/x",), findings=(FINDING,)
)
SAID = """\
restored /etc/fstab
removed /etc/new
written by programs of the repair, and left as they are:
  /var/x
info: it stays.
  remove it.
undone: abc
"""


def undoing(monkeypatch: pytest.MonkeyPatch, undone: Undone) -> None:
    stand_in = SimpleNamespace(undo=lambda settings, on_event: undone)
    monkeypatch.setitem(sys.modules, "vmdk2kvm.pipeline.undo", stand_in)  # type: ignore[arg-type]


def test_it_names_every_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    undoing(monkeypatch, DONE)
    assert main(["undo", "a.qcow2"]) == 0
    assert capsys.readouterr().out == SAID


def test_there_was_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    undoing(monkeypatch, NOTHING)
    assert main(["undo", "a.qcow2"]) == 0
    assert capsys.readouterr().out.startswith("nothing to undo")


def test_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    undoing(monkeypatch, DONE)
    assert main(["undo", "a.qcow2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["restored"] == ["/etc/fstab"]
    assert told["findings"][0]["id"] == "folder-kept"


def test_hostile_names_cannot_act_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undoing(monkeypatch, Undone(plans=(EVIL,), restored=(EVIL,), removed=(EVIL,), left=(EVIL,), findings=()))
    assert main(["undo", "a.qcow2"]) == 0
    out = capsys.readouterr().out
    assert not set(out) & {"\x1b", "\u202e", "\udcff"}
    assert out.count("\n") == 5


def test_it_needs_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["undo"]) == 2
    assert '"undo" needs an image' in capsys.readouterr().err
