"""INSPECT and FIX in one appliance, or what an earlier run recorded of them."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from vmdk2kvm import __version__
from vmdk2kvm.errors import ConfigError
from vmdk2kvm.fixes import journal
from vmdk2kvm.fixes.catalog import FIXES
from vmdk2kvm.fixes.engine import plan as plan_fixes
from vmdk2kvm.fixes.room import images_to_move_away
from vmdk2kvm.formats import plain, plan_json
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.model.disk import DiskView, Overlay
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding, Level, StageName
from vmdk2kvm.pipeline import assemble
from vmdk2kvm.pipeline.context import Context, fix_options
from vmdk2kvm.pipeline.records import (
    Record,
    drop_record,
    fingerprint,
    mark,
    read_record,
    still_there,
    write_record,
)
from vmdk2kvm.stages import fix, flatten, inspect
from vmdk2kvm.stages.forecast import forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The guest as found, the plan that was applied to the overlays, and what is worth knowing."""

    overlays: tuple[Overlay, ...]
    os: GuestOs | None = None
    plan: Plan
    findings: tuple[Finding, ...] = ()
    is_intact: bool = True  # the overlays are as the repair left them
    seconds: dict[str, float] = field(default_factory=dict)  # of an earlier run's stages


_NO_CHANGES = plan_json.plan_of((), ())


def repair_fingerprint(run: Context, views: tuple[DiskView, ...]) -> str:
    """Everything that decides what the repaired overlays hold."""
    settings = run.settings
    return fingerprint(
        __version__,
        [[view.node, view.virtual_size_bytes, [plain.write(file) for file in view.files]] for view in views],
        [fix.name for fix in run.fixes] if run.wants(StageName.FIX) else None,
        settings.fstab_mode.value,
        settings.remove_vmware_tools,
        settings.install_guest_agent,
        [hashlib.sha256(one.content).hexdigest() for one in fix_options(settings).guest_agent_packages],
        settings.cloud_init_datasource and settings.cloud_init_datasource.value,
        settings.no_backup,
        settings.trim,
        [plain.write(nic) for nic in run.nics],
        settings.luks_passphrase_env,  # where keys come from; what they are is stored nowhere
        settings.luks_keyfile and str(settings.luks_keyfile),
        [one.model_dump(mode="json") for one in settings.luks_keys],
        run.wants(StageName.INSPECT),
    )


def recorded(run: Context, views: tuple[DiskView, ...], wanted: str) -> Repaired | None:
    """What a run with the same inputs found and did, None if there was none."""
    record = read_record(run.folder.records, StageName.FIX, wanted)
    if record is None:
        return None
    try:
        return Repaired(
            overlays=tuple(
                Overlay(view=view, path=Path(file.path))
                for view, file in zip(views, record.files, strict=True)
            ),
            os=plain.read(GuestOs | None, record.result["guest"]),
            plan=plan_json.parse(record.result["plan"]),
            findings=plain.read(tuple[Finding, ...], record.result["findings"]),
            is_intact=still_there(record.files),
            seconds=plain.read(dict[str, float], record.result["seconds"]),
        )
    except (ValueError, KeyError, TypeError, ConfigError):
        return None


def tell_reused(run: Context, repaired: Repaired) -> None:
    for stage in (StageName.INSPECT, StageName.FIX):
        if run.wants(stage):
            run.timeline.reused(stage, repaired.seconds.get(stage.value, 0.0))


def repair(run: Context, views: tuple[DiskView, ...], wanted: str) -> Repaired:
    """The overlays are the transaction: they start empty, whatever an interrupted run left."""
    drop_record(run.folder.records, StageName.FIX)
    overlays = fresh_overlays(views, run.folder.overlay)
    if run.wants(StageName.INSPECT):
        repaired = _in_one_appliance(run, overlays)
    else:
        repaired = Repaired(overlays=overlays, plan=_NO_CHANGES)
    _record(run, repaired, wanted)
    return repaired


def fresh_overlays(views: tuple[DiskView, ...], scratch: Path) -> tuple[Overlay, ...]:
    for path in scratch.glob("*-overlay.qcow2"):
        path.unlink()
    return flatten.create_overlays(views, scratch)


def drop_overlays(run: Context) -> None:
    shutil.rmtree(run.folder.overlay, ignore_errors=True)


def _in_one_appliance(run: Context, overlays: tuple[Overlay, ...]) -> Repaired:
    with ExitStack() as opened:
        with run.timeline.stage(StageName.INSPECT):
            session = opened.enter_context(_opened(run, overlays))
            found = assemble.look_into(run, session)
        if not run.wants(StageName.FIX):
            findings = inspect.with_forecast(session, found).findings
            return Repaired(overlays=overlays, os=found.os, plan=_NO_CHANGES, findings=findings)
        with run.timeline.stage(StageName.FIX):
            plan, findings = _fix(run, session, found.os)
            opened.close()
    return Repaired(overlays=overlays, os=found.os, plan=plan, findings=(*found.findings, *findings))


def _fix(run: Context, session: GuestSession, found: GuestOs) -> tuple[Plan, tuple[Finding, ...]]:
    """Repair the open guest; the findings include what would still break on KVM."""
    os = found

    def inspect_again() -> GuestOs:
        nonlocal os
        os = inspect.run_again(session, os)
        return os

    backup = not run.settings.no_backup
    fixed = fix.run(session, found, run.fixes, inspect_again=inspect_again, backup=backup)
    untrimmed = session.trim() if run.settings.trim else ()
    findings = (
        *fixed.findings,
        *_where_backups_lie(run, fixed.plan),
        *map(_not_trimmed, untrimmed),
        *forecast(session, os),
    )
    return fixed.plan, tuple(dict.fromkeys(findings))  # what a plan tells a forecast may tell again


def _where_backups_lie(run: Context, plan: Plan) -> tuple[Finding, ...]:
    if run.settings.no_backup or not plan.changes:
        return ()
    return (
        Finding(
            id="backups-in-guest",
            level=Level.INFO,
            message=f'the changed files as they were lie in the guest in "{journal.folder_of(plan)}".',
            remedy="remove that folder when the machine has proven itself.",
        ),
    )


def _not_trimmed(place: tuple[str, str]) -> Finding:
    mountpoint, reason = place
    return Finding(
        id="not-trimmed",
        level=Level.WARNING,
        message=f'"{visible(mountpoint)}" in the guest could not be trimmed: {visible(reason)}.',
        remedy="nothing is lost; the copy holds its deleted blocks, too.",
    )


def _opened(run: Context, overlays: tuple[Overlay, ...]) -> AbstractContextManager[GuestSession]:
    return assemble.opened(run, [overlay.path for overlay in overlays])


def only_plan(run: Context, views: tuple[DiskView, ...]) -> Repaired:
    """The plan, with nothing applied; the overlays are thrown away.

    Raises NoRoomInGuest where the repair would.
    """
    overlays = fresh_overlays(views, run.folder.tmp)
    with run.timeline.stage(StageName.INSPECT), _opened(run, overlays) as session:
        found = assemble.look_into(run, session)
        plan = plan_fixes(run.fixes, session, found.os)
        images_to_move_away(plan, found.os, backup=not run.settings.no_backup)
        left_out = tuple(_left_out(run, session, found.os))
    findings = (*found.findings, *plan.findings, *left_out)
    return Repaired(overlays=(), os=found.os, plan=plan, findings=findings)


def _left_out(run: Context, session: GuestSession, os: GuestOs) -> Iterator[Finding]:
    """Repairs the operator turned off although the guest needs them."""
    chosen = {one.name for one in run.fixes}
    for one in FIXES:
        if one.name not in chosen and plan_fixes((one,), session, os).changes:
            yield Finding(
                id="repair-left-out",
                level=Level.WARNING,
                message=f'the fix "{one.name}" is left out, though this guest needs it: {one.reason}.',
                remedy="leave it in, or prove with --qemu-test that the guest boots without it.",
            )


def _record(run: Context, repaired: Repaired, wanted: str) -> None:
    seconds = {result.name.value: result.seconds for result in run.timeline.results}
    result = {
        "guest": plain.write(repaired.os),
        "plan": plan_json.render(repaired.plan),
        "findings": plain.write(repaired.findings),
        "seconds": seconds,
    }
    files = tuple(mark(overlay.path) for overlay in repaired.overlays)
    write_record(
        run.folder.records, Record(stage=StageName.FIX, fingerprint=wanted, result=result, files=files)
    )
