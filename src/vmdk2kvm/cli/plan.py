"""`vmdk2kvm plan` (and `local --dry-run`): the exact changes as diffs, and nothing is changed."""

from collections.abc import Sequence
from pathlib import Path

from vmdk2kvm.cli import render
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.formats.escapes import one_line, visible
from vmdk2kvm.model.changes import PlannedChange, WriteFile
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Report

_FSTAB = "/etc/fstab"


def run(settings: Settings) -> int:
    from vmdk2kvm.pipeline.migrate import plan

    with render.open_listener(settings) as listener:
        planned = plan(settings, listener)
    if settings.print_fstab:
        _show_fstab(settings, fstab_as_planned(planned.report, planned.plan.changes))
    elif settings.as_json:
        from vmdk2kvm.formats import plan_json

        render.show(plan_json.render(planned.plan))
    else:
        render.show(plan_text(planned.plan, planned.file))
    return 0


def plan_text(plan: Plan, file: Path | None) -> str:
    from vmdk2kvm.formats import plan_text

    changes = plan_text.render(plan.changes) or "nothing to change\n"
    where = f"; the plan is in {one_line(str(file))}" if file is not None else ""
    return f"{changes}\n{len(plan.changes)} changes{where}\n"


def fstab_as_planned(report: Report, changes: Sequence[PlannedChange]) -> str:
    """The guest's fstab as it will be; "" for a guest without one."""
    text = report.guest.fstab if report.guest and report.guest.fstab is not None else ""
    for planned in changes:
        if isinstance(planned.change, WriteFile) and planned.change.path == _FSTAB:
            text = planned.change.after.decode("utf-8", "surrogateescape")
    return text


def _show_fstab(settings: Settings, text: str) -> None:
    """To the byte into a file or a pipe; escaped on a terminal."""
    if settings.as_json:
        render.show_json({"fstab": text})
    else:
        render.show(visible(text) if render.on_terminal() else text)
