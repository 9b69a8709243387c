"""report.md: what a person reads about a run (CommonMark 0.31, tables as in GitHub's dialect).

What comes from the guest stands in code fences and code spans longer than any it holds, or with
every character that means something escaped.
"""

import re
from collections.abc import Iterator

from vmdk2kvm.formats.escapes import one_line
from vmdk2kvm.formats.plan_text import describe, title
from vmdk2kvm.model.changes import RemoveFile, WriteFile
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.report import BootEvidence, Report, StageStatus, Verdict
from vmdk2kvm.model.units import format_bytes, format_seconds

# What acts anywhere, what makes a bare address a link, and what acts at the start of a line.
_ACTIVE = re.compile(r"[\\`*_\[\]<>|~&@]|:(?=//)|(?<=www)\.|^[-#+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
_TICKS = re.compile(r"`+")


def render(report: Report) -> str:
    parts = (_head(report), _findings(report), _disks(report), _boot(report.boot), _guest(report.guest))
    return "\n".join(line for part in (*parts, _changes(report), _stages(report)) for line in part) + "\n"


def escape(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would act on."""
    return _ACTIVE.sub(r"\\\g<0>", one_line(text).lstrip())


def code(text: str) -> str:
    """A code span; "|" is left out of it, because it would end a table's cell."""
    line = one_line(text).replace("|", "\\x7c")
    ticks = _fence(line, 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line.strip() else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fenced(text: str, language: str = "") -> Iterator[str]:
    fence = _fence(text, 3)
    yield fence + language
    yield from text.removesuffix("\n").split("\n")
    yield fence


def _fence(text: str, least: int) -> str:
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    return "`" * max(least, longest + 1)


def _head(report: Report) -> Iterator[str]:
    yield f"# {escape(report.vm)}: {report.status.value}"
    yield ""
    yield f"Took {format_seconds(report.seconds)}. {len(report.changes)} changes in the guest."
    yield ""
    yield f"Boot: {_proof(report.boot)}."
    yield ""


def _proof(boot: BootEvidence | None) -> str:
    if boot is not None and boot.verdict is not Verdict.NOT_RUN:
        return str(boot.verdict.value)
    reason = boot and boot.reason
    return f"not tested: {escape(reason)}" if reason else "not tested"


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        return
    yield "## Findings"
    yield ""
    for finding in report.findings:
        yield f"- **{finding.level.value}** {code(finding.id)}: {escape(finding.message)}"
        if finding.remedy:
            yield f"  → {escape(finding.remedy)}"
    yield ""


def _disks(report: Report) -> Iterator[str]:
    if not report.disks:
        return
    yield from ("## Disks", "", "| file | format | size | SHA-256 |", "|---|---|---|---|")
    for disk in report.disks:
        size = format_bytes(disk.virtual_size_bytes)
        yield f"| {code(str(disk.path))} | {disk.format.value} | {size} | {disk.sha256 or 'not asked for'} |"
    yield ""


def _boot(boot: BootEvidence | None) -> Iterator[str]:
    if boot is None or boot.verdict is Verdict.NOT_RUN:
        return
    yield from ("## Boot test", "")
    how = f"on {boot.bus} by {boot.firmware.upper()}, after {format_seconds(boot.seconds)}"
    yield f"**{boot.verdict.value}** {how}" + (f": {escape(boot.reason)}" if boot.reason else "") + "."
    yield ""
    if boot.facts:
        yield from ("| fact | value |", "|---|---|")
        yield from (f"| {escape(name)} | {code(value)} |" for name, value in boot.facts)
        yield ""
    if boot.evidence:
        yield "Evidence: " + ", ".join(code(path) for path in boot.evidence)
        yield ""


def _guest(os: GuestOs | None) -> Iterator[str]:
    if os is None:
        return
    yield from ("## Guest", "")
    yield f"{escape(os.name)} ({escape(os.arch)}, {os.firmware.value.upper()})"
    yield from ("", "| device | type | size | mounted at | UUID |", "|---|---|---|---|---|")
    where = {mount.device: mount.mountpoint for mount in os.mounts}
    for one in os.names.filesystems:
        at = code(where[one.device]) if one.device in where else ""
        uuid = code(one.uuid) if one.uuid else ""
        yield f"| {code(one.device)} | {code(one.type)} | {format_bytes(one.size_bytes)} | {at} | {uuid} |"
    yield ""
    for kernel in os.kernels:
        image = code(kernel.initramfs.path) if kernel.initramfs else "no initramfs"
        yield f"- kernel {code(kernel.version)}, {image}"
    yield ""


def _changes(report: Report) -> Iterator[str]:
    if not report.changes:
        return
    yield from ("## Changes", "")
    for planned in report.changes:
        yield f"### {escape(planned.fix)}: {code(title(planned.change))}"
        yield ""
        is_diff = isinstance(planned.change, WriteFile | RemoveFile)
        yield from fenced(describe(planned.change), "diff" if is_diff else "")
        yield ""


def _stages(report: Report) -> Iterator[str]:
    yield from ("## Stages", "", "| stage | status | time |", "|---|---|---|")
    for stage in report.stages:
        when = ", in an earlier run" if stage.status is StageStatus.REUSED else ""
        yield f"| {stage.name.value} | {stage.status.value} | {format_seconds(stage.seconds)}{when} |"
