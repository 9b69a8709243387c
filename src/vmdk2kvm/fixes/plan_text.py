"""A plan for a person to read: exact changes as diffs, opaque ones as the commands they are."""

import shlex

from vmdk2kvm.fixes.rebuild import recipe
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.unified_diff import unified_diff
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    Rebuild,
    Relabel,
    RemoveFile,
    RemoveLink,
    RunCommand,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding


def render(plan: Plan) -> str:
    """The whole plan, safe on a terminal; says so where there is nothing to do."""
    parts = [f"# {item.fix}\n{render_change(item.change)}" for item in plan.changes]
    parts += [_finding(finding) for finding in plan.findings]
    return "\n".join(parts) or "nothing to change.\n"


def render_change(change: Change) -> str:
    match change:
        case WriteFile():
            return unified_diff(change.path, change.before, change.after)
        case RemoveFile():
            return unified_diff(change.path, change.before, None)
        case MakeSymlink() | RemoveLink():
            return visible(_link(change)) + "\n"
        case CopyWithin():
            return visible(f"{change.source} copied to {change.path} (sha256 {change.sha256})") + "\n"
        case AppendInitramfs():
            names = ", ".join(name for name, _ in change.files)
            return visible(f"{names} appended to {change.path}") + "\n"
        case SetLabel():
            return visible(f"{change.path} labelled {change.label}") + "\n"
        case RunCommand():
            exist = () if change.done_when is None else (change.done_when,)
            done = ", ".join((*exist, *(f"no {path}" for path in change.gone)))
            return f"{_command(change.argv)}  until it is done: {visible(done)}\n"
        case Relabel():
            return visible(f"what programs made labelled by {change.path}") + "\n"
        case Rebuild():
            must_hold = visible(", ".join((*sorted(change.must_hold), *change.must_keep)))
            return f"{_command(recipe(change).argv)}  {visible(change.path)} must then hold: {must_hold}\n"


def _link(change: MakeSymlink | RemoveLink) -> str:
    if isinstance(change, RemoveLink):
        return f"{change.path} -> {change.before} removed"
    was = "" if change.before is None else f" (was {change.before})"
    return f"{change.path} -> {change.target}{was}"


def _command(argv: tuple[str, ...]) -> str:
    return f"$ {visible(shlex.join(argv))}\n"


def _finding(finding: Finding) -> str:
    return (
        f"! {finding.level.value}: {visible(finding.message)} [{finding.id}]\n  {visible(finding.remedy)}\n"
    )
