import json
from pathlib import Path

import pytest

from vmdk2kvm.errors import OutputNotWritable
from vmdk2kvm.model.changes import PlannedChange, WriteFile
from vmdk2kvm.model.report import Report, RunStatus
from vmdk2kvm.pipeline.report import write_reports

REPORT = Report(
    vm="web",
    status=RunStatus.OK,
    stages=(),
    changes=(PlannedChange(fix="f", change=WriteFile(path="/a\udcff", before=None, after=b"x")),),
)


def test_both_reports_and_nothing_else(tmp_path: Path) -> None:
    write_reports(REPORT, tmp_path / "web")
    assert sorted(path.name for path in (tmp_path / "web").iterdir()) == ["report.json", "report.md"]
    assert json.loads((tmp_path / "web/report.json").read_text())["vm"] == "web"
    assert (tmp_path / "web/report.md").read_text("utf-8").startswith("# web: ok\n")


def test_the_extra_report_goes_by_its_name(tmp_path: Path) -> None:
    write_reports(REPORT, tmp_path, extra=tmp_path / "new/a.json")
    write_reports(REPORT, tmp_path, extra=tmp_path / "new/a.MD")
    assert (tmp_path / "new/a.json").read_bytes() == (tmp_path / "report.json").read_bytes()
    assert (tmp_path / "new/a.MD").read_bytes() == (tmp_path / "report.md").read_bytes()


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "web").write_text("")
    with pytest.raises(OutputNotWritable) as caught:
        write_reports(REPORT, tmp_path / "web")
    assert caught.value.exit_code == 6
