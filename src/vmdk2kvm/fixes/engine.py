"""Plans, and the only interpreter of them.

`plan` asks every fix in order and changes nothing. `apply` does what a plan says to a guest,
whether that guest lies in an appliance, answers over SSH or is a dict. `converge` plans again:
a repaired guest has nothing left to repair.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from glob import escape

from vmdk2kvm.errors import DoesNotConverge, GuestError, StalePlan, Vmdk2KvmError
from vmdk2kvm.fixes.appendix import built_as_planned
from vmdk2kvm.fixes.appendix import finding as appended_finding
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.fixes.journal import STATE_FOLDER, Journal, backup_path, begin
from vmdk2kvm.fixes.pending import PendingGuest
from vmdk2kvm.fixes.proof import Rebuilt, run_append, run_rebuild
from vmdk2kvm.fixes.rebuild import ENVIRONMENT, TIMEOUT_S, recipe
from vmdk2kvm.fixes.selinux_policy import relabel
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.guest.paths import parent
from vmdk2kvm.guest.protocol import CommandResult, GuestReader, GuestWriter
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    Opaque,
    PlannedChange,
    Rebuild,
    Relabel,
    RemoveFile,
    RemoveLink,
    RunCommand,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding, Level


class Misplanned(RuntimeError):
    """A fix planned a change of something that is not there, or that changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """`written` are all guest paths that changed, `by_programs` those that opaque changes wrote."""

    written: tuple[str, ...]
    by_programs: tuple[str, ...]
    findings: tuple[Finding, ...]


def plan(fixes: Iterable[Fix], guest: GuestReader, os: GuestOs) -> Plan:
    """What `fixes` would do, in the order it has to be done. Reads only."""
    pending = PendingGuest(guest)
    changes: list[PlannedChange] = []
    findings: list[Finding] = []
    for fix in fixes:
        if os.family not in fix.families:
            continue
        for item in fix.plan(pending, os):
            if isinstance(item, Finding):
                findings.append(item)
            else:
                _check_planned(pending, fix, item)
                pending.add(item, _may_write(item))
                changes.append(PlannedChange(fix=fix.name, change=item))
    return plan_of(_in_steps(changes), findings)


def apply(
    plan: Plan, guest: GuestWriter, *, backup: bool, move_away: frozenset[str] = frozenset()
) -> Applied:
    """Do what `plan` says. Raises StalePlan before anything is written.

    `move_away` names the images whose file system cannot hold the old and the new one together.
    """
    _check_fresh(plan, guest)
    journal = begin(guest, plan) if backup else None
    edited: list[str] = []
    findings: list[Finding] = []
    for item in plan.changes:
        if isinstance(item.change, AppendInitramfs):
            edited.append(_append(guest, plan, item.change, journal))
            findings.append(appended_finding(item.change, "no tool in the guest rebuilds that image"))
        elif not _is_opaque(item.change):
            edited.append(_edit(guest, item.change))
    by_programs: list[str] = []
    for item in plan.changes:
        if isinstance(item.change, RunCommand | Rebuild):
            wrote, outside, told = _run(guest, plan, item.change, journal, move_away)
            by_programs.extend(wrote)
            findings.extend(told)
            findings.extend(_outside_finding(item.fix, path) for path in outside)
        elif isinstance(item.change, Relabel):
            findings.extend(relabel(guest, item.change, _unique(by_programs)))
            if journal is not None:
                journal.strike(guest, item.change, ())
    return Applied(
        written=_unique((*edited, *by_programs)),
        by_programs=_unique(by_programs),
        findings=tuple(findings),
    )


def converge(
    applied: Applied,
    fixes: Sequence[Fix],
    guest: GuestWriter,
    inspect_again: Callable[[], GuestOs],
    apply_again: Callable[[Plan, GuestOs], Applied],
) -> Applied:
    """Plan again until nothing is left, one more round at most. Raises DoesNotConverge.

    The round may repair only what programs of the first one changed; each repair is a finding.
    """
    os = inspect_again()
    second = unsettled(plan(fixes, guest, os))
    if not second.changes:
        return applied
    unexplained = [path for path in _paths(second) if path not in applied.by_programs]
    if unexplained:
        raise _does_not_converge("the second plan changes what the first had settled", unexplained)
    again = apply_again(second, os)
    third = unsettled(plan(fixes, guest, inspect_again()))
    if third.changes:
        raise _does_not_converge("two rounds were not enough", _paths(third))
    return Applied(
        written=_unique((*applied.written, *again.written)),
        by_programs=_unique((*applied.by_programs, *again.by_programs)),
        findings=(*applied.findings, *again.findings, *map(_unplanned_finding, second.changes)),
    )


def unsettled(again: Plan) -> Plan:
    """What a plan of a repaired guest still holds that would change it.

    An optional command that failed is planned again, and was told of. Labelling goes with what it follows.
    """
    left = [
        item for item in again.changes if not (isinstance(item.change, RunCommand) and item.change.optional)
    ]
    follows = any(_is_opaque(item.change) and not isinstance(item.change, Relabel) for item in left)
    return plan_of([item for item in left if follows or not isinstance(item.change, Relabel)], again.findings)


# planning


def _check_planned(pending: PendingGuest, fix: Fix, change: Change) -> None:
    if isinstance(change, WriteFile) and change.before == change.after:
        raise Misplanned(f'{fix.name} changes nothing in "{change.path}"')
    if not pending.matches(change):
        raise Misplanned(f"{fix.name} did not plan on the guest as it will be: {change.kind}")


def _in_steps(changes: Sequence[PlannedChange]) -> list[PlannedChange]:
    """EDIT, then RUN, then REBUILD; a rebuild asked for twice is done once."""
    exact = [item for item in changes if not _is_opaque(item.change)]
    runs = [item for item in changes if isinstance(item.change, RunCommand)]
    rebuilds: dict[tuple[str, str], PlannedChange] = {}
    for item in changes:
        if isinstance(item.change, Rebuild):
            key = (item.change.what.value, item.change.path)
            rebuilds[key] = _merged(rebuilds[key], item.change) if key in rebuilds else item
    labels = [item for item in changes if isinstance(item.change, Relabel)]
    return [*exact, *runs, *rebuilds.values(), *labels]


def _merged(first: PlannedChange, other: Rebuild) -> PlannedChange:
    assert isinstance(first.change, Rebuild)
    both = replace(
        first.change,
        must_hold=first.change.must_hold | other.must_hold,
        must_keep=tuple(dict.fromkeys((*first.change.must_keep, *other.must_keep))),
        stale_names=first.change.stale_names or other.stale_names,
        estimated_bytes=max(first.change.estimated_bytes, other.estimated_bytes),
    )
    return PlannedChange(fix=first.fix, change=both)


def _may_write(change: Change) -> tuple[str, ...]:
    if isinstance(change, Rebuild):
        return recipe(change).may_write
    return (*change.may_write, *change.may_remove) if isinstance(change, RunCommand) else ()


def _is_opaque(change: Change) -> bool:
    return isinstance(change, Opaque)


# applying


def _check_fresh(plan: Plan, guest: GuestReader) -> None:
    pending = PendingGuest(guest)
    for item in plan.changes:
        change = item.change
        if isinstance(change, Rebuild):
            if not guest.exists(change.path):
                raise StalePlan(change.path)
        elif not _is_opaque(change):
            if not pending.matches(change) or not _is_still_built(guest, change):
                raise StalePlan(_path(item))
            pending.add(change)


def _is_still_built(guest: GuestReader, change: Change) -> bool:
    """Whether what is appended still comes out of the guest as it was planned."""
    return not isinstance(change, AppendInitramfs) or built_as_planned(guest, change) is not None


def _edit(guest: GuestWriter, change: Change) -> str:
    match change:
        case WriteFile():
            if change.before is None:
                guest.make_folder(parent(change.path))
            guest.write_bytes(change.path, change.after, change.mode)
        case RemoveFile() | RemoveLink():
            guest.remove(change.path)
        case MakeSymlink():
            guest.make_folder(parent(change.path))
            guest.make_symlink(change.path, change.target)
        case CopyWithin():
            guest.make_folder(parent(change.path))
            guest.copy_within(change.source, change.path)
        case SetLabel():
            guest.set_label(change.path, change.label)
        case _:
            raise AssertionError("an opaque change is no edit")
    return change.path


def _run(
    guest: GuestWriter,
    plan: Plan,
    change: RunCommand | Rebuild,
    journal: Journal | None,
    move_away: frozenset[str],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Finding, ...]]:
    """Run an opaque change; what it wrote, what of that it had not announced, and what is to be told."""
    findings: tuple[Finding, ...] = ()
    if isinstance(change, RunCommand):
        (wrote, findings), may_write = _run_command(guest, change), change.may_write
    else:
        rebuilt = _rebuild(guest, plan, change, journal, move_away=change.path in move_away)
        wrote, may_write, findings = rebuilt.wrote, rebuilt.may_write, rebuilt.findings
    wrote = tuple(path for path in wrote if not path.startswith(STATE_FOLDER))
    if journal is not None:
        journal.strike(guest, change, wrote)
    announced = (*may_write, *change.may_remove) if isinstance(change, RunCommand) else may_write
    return wrote, tuple(path for path in wrote if not path.startswith(announced)), findings


def _rebuild(
    guest: GuestWriter, plan: Plan, change: Rebuild, journal: Journal | None, *, move_away: bool
) -> Rebuilt:
    kept = _keep_at(guest, plan, change, journal)
    try:
        rebuilt = run_rebuild(guest, change, kept=kept, move_away=move_away)
    except (Vmdk2KvmError, OSError):  # a cancelled run has no guest any more
        _drop_kept(guest, kept, journal)
        raise
    _drop_kept(guest, kept, journal)
    return rebuilt


def _append(guest: GuestWriter, plan: Plan, change: AppendInitramfs, journal: Journal | None) -> str:
    kept = _keep_at(guest, plan, change, journal)
    try:
        run_append(guest, change, kept=kept)
    except (Vmdk2KvmError, OSError):
        _drop_kept(guest, kept, journal)
        raise
    _drop_kept(guest, kept, journal)
    return change.path


def _drop_kept(guest: GuestWriter, kept: str, journal: Journal | None) -> None:
    if journal is None and guest.exists(kept):
        guest.remove(kept)


def _run_command(guest: GuestWriter, change: RunCommand) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    before = _standing_below(guest, change.may_remove)
    mark = guest.mark()
    result = guest.run(change.argv, timeout_s=TIMEOUT_S, env=ENVIRONMENT)
    removed = before - _standing_below(guest, change.may_remove)
    wrote = (*guest.changed_since(mark), *sorted(removed))
    there = change.done_when is None or guest.exists(change.done_when)
    if result.status == 0 and there and not any(map(guest.exists, change.gone)):
        return wrote, ()
    if change.optional:
        return wrote, (_failed_finding(change, result),)
    raise GuestError(
        f'"{change.argv[0]}" in the guest ended with status {result.status} and did not do its work.',
        hint=f"it said: {visible(result.output[-400:].strip())}",
    )


def _standing_below(guest: GuestReader, prefixes: Iterable[str]) -> frozenset[str]:
    found = (
        guest.list_tree(prefix.rstrip("/")) if prefix.endswith("/") else guest.glob(f"{escape(prefix)}*")
        for prefix in prefixes
    )
    return frozenset(path for paths in found for path in paths)


def _keep_at(
    guest: GuestWriter, plan: Plan, change: Rebuild | AppendInitramfs, journal: Journal | None
) -> str:
    """Where the old image waits: in the backup, or in a file of its own that goes away again."""
    image = guest.realpath(change.path)
    if journal is None:
        kept = f"{STATE_FOLDER}-{plan.id}-{image.rpartition('/')[2]}"
        guest.make_folder(parent(kept))
        return kept
    kept = backup_path(plan, image)
    guest.make_folder(parent(kept), mode=0o700)
    return kept


# findings and errors


def _outside_finding(fix: str, path: str) -> Finding:
    return Finding(
        id="write-outside-plan",
        level=Level.WARNING,
        message=f'a program run by {fix} also wrote "{visible(path)}", which the plan did not announce.',
        remedy="look at the file; a backup of the machine holds the old one.",
    )


def _failed_finding(change: RunCommand, result: CommandResult) -> Finding:
    command = visible(" ".join(change.argv)).replace("\n", " ")
    return Finding(
        id="command-failed",
        level=Level.WARNING,
        message=f'"{command}" in the guest ended with status {result.status} and did not do its work;'
        f" it said: {visible(result.output[-400:].strip()).replace(chr(10), ' / ') or 'nothing'}",
        remedy="run it in the guest after the move, where it has a network and its services.",
    )


def _unplanned_finding(item: PlannedChange) -> Finding:
    return Finding(
        id="unplanned-change",
        level=Level.WARNING,
        message=f'a program undid part of the repair; {item.fix} repaired "{visible(_path(item))}" again.',
        remedy="review the change in the report.",
    )


def _path(item: PlannedChange) -> str:
    change = item.change
    return change.argv[0] if isinstance(change, RunCommand) else change.path


def _paths(plan: Plan) -> list[str]:
    return [_path(item) for item in plan.changes]


def _does_not_converge(reason: str, paths: Sequence[str]) -> DoesNotConverge:
    shown = ", ".join(f'"{visible(path)}"' for path in paths)
    return DoesNotConverge(
        f"the guest is not settled after the repair: {reason}: {shown}.",
        hint="leave out the fix that `vmdk2kvm plan` names for that file with --skip-fix, and report it.",
        paths=tuple(paths),
    )


def _unique(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(paths)))
