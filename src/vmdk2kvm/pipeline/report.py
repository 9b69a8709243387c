"""report.json and report.md in the VM's folder: whole and durable, or not there."""

from pathlib import Path

from vmdk2kvm.formats import report_json, report_md
from vmdk2kvm.model.report import Report
from vmdk2kvm.tools import whole_file

JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"


def write_reports(report: Report, folder: Path | None, *, extra: Path | None = None) -> None:
    """Both reports into `folder`, unless that is None.

    Also one to `extra`: as Markdown if it ends in ".md", else as JSON.

    Raises OutputNotWritable, OutputFull.
    """
    as_json, as_markdown = report_json.render(report), report_md.render(report)
    if folder is not None:
        _write(folder / JSON_NAME, as_json)
        _write(folder / MARKDOWN_NAME, as_markdown)
    if extra is not None:
        _write(extra, as_markdown if extra.suffix.lower() == ".md" else as_json)


def _write(path: Path, text: str) -> None:
    with whole_file.translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write(path, text)
