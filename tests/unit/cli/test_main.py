import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from vmdk2kvm import errors
from vmdk2kvm.cli.main import main
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.formats import plan_json
from vmdk2kvm.model.changes import PlannedChange, WriteFile
from vmdk2kvm.model.disk import OutputFormat, TargetDisk
from vmdk2kvm.model.progress import Note
from vmdk2kvm.model.report import (
    BootEvidence,
    Report,
    RunStatus,
    StageName,
    StageResult,
    StageStatus,
    Verdict,
)

PASSED = Report(
    vm="web\x1b[2J",
    status=RunStatus.OK,
    stages=(StageResult(name=StageName.CONVERT, status=StageStatus.OK, seconds=75.0),),
    disks=(
        TargetDisk(
            path=Path("/out/web/web-disk0.qcow2"), format=OutputFormat.QCOW2, virtual_size_bytes=2**30
        ),
    ),
    boot=BootEvidence(verdict=Verdict.BOOTED, firmware="bios", bus="virtio-blk", seconds=12.0),
)
FAILED = Report(
    vm="web",
    status=RunStatus.FAILED,
    stages=(),
    boot=BootEvidence(
        verdict=Verdict.FAILED, firmware="uefi", bus="virtio-scsi", seconds=9.0, reason="initramfs shell"
    ),
)
PLAN = plan_json.plan_of(
    [PlannedChange(fix="fstab", change=WriteFile(path="/etc/fstab", before=b"old\n", after=b"new\xff\n"))], []
)


class Pipeline:
    """Stands in for pipeline.migrate and notes what it was asked to do."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.calls: list[tuple[str, Settings]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def called(settings: Settings, on_event: Any) -> Any:
            self.calls.append((name, settings))
            on_event(Note(text="working"))
            if isinstance(self.outcome, BaseException):
                raise self.outcome
            return self.outcome

        return called


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pipeline:
    stand_in = Pipeline(PASSED)
    monkeypatch.setitem(sys.modules, "vmdk2kvm.pipeline.migrate", stand_in)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "PATH"):
        monkeypatch.setenv(name, "/")
    return stand_in


Capture = pytest.CaptureFixture[str]


def test_local_runs_the_migration(pipeline: Pipeline, tmp_path: Path, capsys: Capture) -> None:
    assert main(["local", "--vmdk", "a.vmdk", "--compress"]) == 0
    (name, settings), out = pipeline.calls[0], capsys.readouterr()
    assert (name, settings.vmdk, settings.compress) == ("migrate", (tmp_path / "a.vmdk",), True)
    assert out.err == "working\n"
    assert out.out.splitlines()[:2] == [
        r"web\x1b[2J: ok in 1m15s",
        "  disk    /out/web/web-disk0.qcow2 (qcow2, 1 GiB)",
    ]
    assert "booted on virtio-blk by BIOS after 12.0s" in out.out


def test_a_rerun_tells_its_own_time_and_what_an_earlier_run_did(pipeline: Pipeline, capsys: Capture) -> None:
    reused = (StageName.FIX, StageName.CONVERT)
    stages = [StageResult(name=StageName.FETCH, status=StageStatus.OK, seconds=2.0)]
    stages += [StageResult(name=name, status=StageStatus.REUSED, seconds=75.0) for name in reused]
    pipeline.outcome = replace(PASSED, stages=tuple(stages))
    assert main(["local", "--vmdk", "a.vmdk"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == r"web\x1b[2J: ok in 2.0s"
    assert "  reused  fix, convert: done by an earlier run, with the same inputs" in lines


def test_a_report_that_failed_ends_in_7(pipeline: Pipeline, capsys: Capture) -> None:
    pipeline.outcome = FAILED
    assert main(["validate", "web.qcow2"]) == 7
    assert pipeline.calls[0][0] == "validate"
    out = capsys.readouterr()
    assert "failed on virtio-scsi by UEFI after 9.0s: initramfs shell" in out.out
    told = out.err.splitlines()[1:]
    assert told[0] == 'vmdk2kvm: "web" did not boot on virtio-scsi: initramfs shell.'
    assert "web/boot/screen.png" in told[1] and "web/report.md" in told[1]


def test_a_report_that_failed_is_json_on_stdout_and_an_error_on_stderr(
    pipeline: Pipeline, capsys: Capture
) -> None:
    pipeline.outcome = FAILED
    assert main(["--json", "local", "--vmdk", "a"]) == 7
    out = capsys.readouterr()
    assert json.loads(out.out)["status"] == "failed"
    told = json.loads(out.err.splitlines()[-1])
    assert (told["event"], told["exit_code"]) == ("error", 7)


def test_why_a_boot_was_not_tested(pipeline: Pipeline, capsys: Capture) -> None:
    boot = replace(FAILED.boot, verdict=Verdict.NOT_RUN, reason="no boot test for aarch64")
    pipeline.outcome = replace(FAILED, boot=boot)
    assert main(["validate", "web.qcow2"]) == 7
    out = capsys.readouterr()
    assert "boot    not tested: no boot test for aarch64" in out.out
    assert '"web" did not prove itself: no boot test for aarch64.' in out.err


def test_json_gives_the_report_on_stdout_and_events_on_stderr(pipeline: Pipeline, capsys: Capture) -> None:
    assert main(["--json", "local", "--vmdk", "a"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["schema"] == 1
    assert json.loads(out.err) == {"event": "note", "text": "working"}


@pytest.mark.parametrize("words", [["plan"], ["local", "--dry-run"]])
def test_plan_and_dry_run_are_one(words: list[str], pipeline: Pipeline, capsys: Capture) -> None:
    pipeline.outcome = SimpleNamespace(plan=PLAN, report=PASSED, file=None)
    assert main([*words, "--vmdk", "a"]) == 0
    assert pipeline.calls[0][0] == "plan"
    out = capsys.readouterr().out
    assert "# fstab\n--- a/etc/fstab\n+++ b/etc/fstab\n" in out
    assert "\n-old\n" in out
    assert "1 changes" in out


def test_plan_as_json_is_the_plan(pipeline: Pipeline, capsys: Capture) -> None:
    pipeline.outcome = SimpleNamespace(plan=PLAN, report=PASSED, file=None)
    assert main(["plan", "--vmdk", "a", "--json"]) == 0
    assert plan_json.parse(capsys.readouterr().out) == PLAN


def test_print_fstab_prints_it_to_the_byte(pipeline: Pipeline, capfdbinary: Any) -> None:
    pipeline.outcome = SimpleNamespace(plan=PLAN, report=PASSED, file=None)
    assert main(["local", "--print-fstab", "--vmdk", "a"]) == 0
    assert capfdbinary.readouterr().out == b"new\xff\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.FolderLocked(Path("/out")), 2),
        (errors.InputNotFound('"a" is not there.', hint="h"), 3),
        (errors.ChainError("m", hint="h"), 4),
        (errors.NoOperatingSystem("m", hint="h"), 5),
        (errors.OutputFull("m", hint="h"), 6),
        (errors.ValidationFailed("m", hint="h", reason="r"), 7),
        (errors.ToolMissing("qemu-img"), 8),
        (errors.Cancelled(), 130),
        (KeyboardInterrupt(), 130),
        (ValueError("our own bug"), 1),
        (OSError(5, "Input/output error"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, pipeline: Pipeline, capsys: Capture) -> None:
    pipeline.outcome = error
    assert main(["local", "--vmdk", "a"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3  # the note, the sentence, the next step
    assert lines[1].startswith("vmdk2kvm: ")
    assert main(["local", "--vmdk", "a", "--json"]) == code
    told = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (told["event"], told["exit_code"]) == ("error", code)


def test_an_internal_error_shows_its_traceback_only_with_verbose(pipeline: Pipeline, capsys: Capture) -> None:
    pipeline.outcome = ValueError("our own\nbug")
    assert main(["local", "--vmdk", "a"]) == 1
    told = capsys.readouterr().err
    assert r'internal error: "ValueError": our own\nbug' in told
    assert "Traceback" not in told
    assert main(["local", "--vmdk", "a", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_errors_are_told_in_json_when_a_file_asks_for_it(
    pipeline: Pipeline, tmp_path: Path, capsys: Capture
) -> None:
    pipeline.outcome = errors.Cancelled()
    (tmp_path / "c.yaml").write_text("json: true\ncmd: local\nvmdk: a\n")
    assert main(["--config", "c.yaml"]) == 130
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["event"] == "error"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "no command was given"),
        ([], "`cmd:`"),
        (["local"], '"local" needs a disk'),
        (["plan"], '"plan" needs a disk'),
        (["validate"], '"validate" needs an image'),
        (["inspect"], "either disks"),
        (["inspect", "--vmdk", "a", "b"], "either disks"),
        (["--config", "none.yaml"], '"none.yaml" cannot be read'),
    ],
)
def test_usage_errors(words: list[str], part: str, pipeline: Pipeline, capsys: Capture) -> None:
    assert main(words) == 2
    assert part in capsys.readouterr().err
    assert pipeline.calls == []


def test_a_hostile_name_in_an_error_cannot_act_on_the_terminal(pipeline: Pipeline, capsys: Capture) -> None:
    pipeline.outcome = errors.InputNotFound('"a\x1b[2J\nb" is gone.', hint="h")
    main(["local", "--vmdk", "a"])
    assert r'"a\x1b[2J\nb" is gone.' in capsys.readouterr().err


def test_the_command_line_wins_over_the_command_of_a_file(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("cmd: local\nimage: a\n")
    assert main(["--config", "c.yaml", "validate"]) == 0
    assert pipeline.calls[0][0] == "validate"


def test_dump_config_can_be_run_again(pipeline: Pipeline, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "c.yaml").write_text("cmd: plan\nvmdk: sub/a.vmdk\n")
    assert main(["--config", "c.yaml", "--timeout", "9", "--dump-config"]) == 0
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/dump.yaml").write_text(capsys.readouterr().out)
    pipeline.outcome = SimpleNamespace(plan=PLAN, report=PASSED, file=None)
    assert main(["--config", "sub/dump.yaml"]) == 0
    assert main(["--config", "c.yaml", "--timeout", "9"]) == 0
    assert pipeline.calls[0] == pipeline.calls[1]


def test_dump_args_is_what_the_command_line_says(capsys: Capture) -> None:
    assert main(["local", "--vmdk", "a", "--config", "c", "--dump-args", "--no-trim"]) == 0
    told = yaml.safe_load(capsys.readouterr().out)
    assert told == {"config": ["c"], "cmd": "local", "vmdk": ["a"], "trim": False}


def test_dump_schema_is_the_schema(capsys: Capture) -> None:
    assert main(["--dump-schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_help_and_version_end_in_0(capsys: Capture) -> None:
    assert main(["local", "--help"]) == 0
    assert "--vmdk FILE" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("vmdk2kvm ")
