"""One VM from source to proof: six stages, in this order."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import Cancelled, UsageError, Vmdk2KvmError
from vmdk2kvm.fixes.catalog import chosen
from vmdk2kvm.formats import plan_json
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.model.choices import FlattenMode, OnBootFailure
from vmdk2kvm.model.disk import DiskView
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import BootEvidence, Finding, Level, Report, RunStatus, StageName, Verdict
from vmdk2kvm.pipeline import assemble, copies, proof, repair
from vmdk2kvm.pipeline.context import Context, fix_options, target_paths
from vmdk2kvm.pipeline.draft import Draft
from vmdk2kvm.pipeline.records import drop_record
from vmdk2kvm.pipeline.timeline import Listener, Timeline
from vmdk2kvm.pipeline.vm_folder import open_folder, vm_name
from vmdk2kvm.stages import fetch, flatten
from vmdk2kvm.stages import validate as validate_stage
from vmdk2kvm.stages.inspect import Inspected
from vmdk2kvm.tools import whole_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    plan: Plan
    report: Report


def migrate(settings: Settings, listener: Listener) -> Report:
    """Move one VM. A failed boot test gives a report whose status is failed; everything else raises.

    The report is written whichever way the run ends.
    """
    with _opened(settings, listener) as run, _reported(run) as draft:
        targets = target_paths(settings, run.folder)
        if settings.force:
            _forget(run)
        views = _fetch_and_flatten(run)
        if run.wants(StageName.INSPECT) or run.wants(StageName.CONVERT):
            _repair_and_convert(run, draft, views, targets)
        repair.drop_overlays(run)
        if run.wants(StageName.VALIDATE):
            _prove(run, draft)
    return draft.report()


def plan(settings: Settings, listener: Listener) -> Planned:
    """The exact changes, into plan.json and the report; source and guest stay as they are."""
    with _opened(settings, listener, keep_state=False) as run, _reported(run) as draft:
        repaired = repair.only_plan(run, _fetch_and_flatten(run))
        _take(run, draft, repaired)
    return Planned(plan=repaired.plan, report=draft.report())


def inspect(settings: Settings, listener: Listener) -> Inspected:
    """What is in the disks, and a forecast; nothing is left behind."""
    made = [path for path in (settings.output_dir, *settings.output_dir.parents) if not path.exists()]
    with _opened(settings, listener, keep_state=False) as run:
        with run.timeline.stage(StageName.INSPECT), _throwaway(run) as session:
            inspected = assemble.look_into(run, session)
    _remove_empty(run.folder.path, *made)
    return inspected


def validate(settings: Settings, listener: Listener) -> Report:
    """Boot finished images on throwaway overlays and prove that they come up."""
    if not settings.image:
        raise UsageError(
            "no image is named.", hint="give the disk images of one machine, the boot disk first."
        )
    with _opened(settings, listener) as run, _reported(run) as draft:
        validated = proof.boot(run, proof.probe_images(settings.image))
        draft.add(*validated.findings)
        _judge(run, draft, validated.boot)
    return draft.report()


@contextmanager
def _opened(settings: Settings, listener: Listener, *, keep_state: bool = True) -> Iterator[Context]:
    disks = settings.vmdk or settings.image
    if not disks:
        raise UsageError("no disk is named.", hint="give each disk of the VM with --vmdk FILE.")
    chosen(fix_options(settings))  # a fix that is not there is told before any work
    folder = settings.output_dir / vm_name(settings.vm_name, disks[0])
    with open_folder(folder, keep_state=keep_state) as opened:
        yield Context(settings=settings, folder=opened, timeline=Timeline(listener), listener=listener)


@contextmanager
def _reported(run: Context) -> Iterator[Draft]:
    """Write the report at the end, a failed run's too."""
    draft = Draft(run)
    try:
        yield draft
    except Vmdk2KvmError as error:
        draft.fail(error)
        draft.write_if_possible()
        raise
    except KeyboardInterrupt:
        draft.fail(Cancelled())
        draft.write_if_possible()
        raise
    draft.write()


def _forget(run: Context) -> None:
    for stage in (StageName.FIX, StageName.CONVERT, StageName.VALIDATE):
        drop_record(run.folder.records, stage)


def _fetch_and_flatten(run: Context) -> tuple[DiskView, ...]:
    settings = run.settings
    with run.timeline.stage(StageName.FETCH):
        fetched = fetch.run(settings.vmdk, allow_external_extents=settings.allow_external_extents)
    if not run.wants(StageName.FLATTEN):
        return ()
    with run.timeline.stage(StageName.FLATTEN):
        run.folder.overlay.mkdir(exist_ok=True)
        flattened = flatten.run(fetched, run.folder.overlay)
        if settings.flatten is FlattenMode.MATERIALIZE:
            _materialize(run, flattened.views)
    return flattened.views


def _materialize(run: Context, views: Sequence[DiskView]) -> None:
    suffix = run.settings.out_format.suffix
    for view in views:
        path = run.folder.path / f"{run.folder.name}-disk{view.index}-flattened.{suffix}"
        flatten.materialize(view, path, run.listener, format=run.settings.out_format)


def _repair_and_convert(
    run: Context, draft: Draft, views: tuple[DiskView, ...], targets: Sequence[Path]
) -> None:
    """What an earlier run repaired and copied from the same inputs counts; the rest is done."""
    repair_key = repair.repair_fingerprint(run, views)
    copy_key = copies.convert_fingerprint(run, repair_key, targets)
    repaired = repair.recorded(run, views, repair_key)
    copied = copies.recorded(run, copy_key) if repaired is not None else None
    if repaired is None or not (copied or repaired.is_intact):
        repaired = repair.repair(run, views, repair_key)
    else:
        repair.tell_reused(run, repaired)
    _take(run, draft, repaired)
    if run.wants(StageName.CONVERT):
        draft.disks = (
            copies.reuse(run, copied) if copied else copies.copy(run, repaired.overlays, targets, copy_key)
        )
    draft.proof_key = proof.proof_fingerprint(run, copy_key)


def _prove(run: Context, draft: Draft) -> None:
    evidence = proof.recorded(run, draft.proof_key)
    if evidence is None:
        images = tuple((disk.path, disk.format) for disk in draft.disks)
        validated = proof.boot(run, images, fixes=run.fixes if run.wants(StageName.FIX) else ())
        evidence = validated.boot
        draft.add(*validated.findings)
        if evidence.verdict is Verdict.BOOTED:
            proof.record(run, draft.proof_key, evidence)
    _judge(run, draft, evidence)


def _judge(run: Context, draft: Draft, boot: BootEvidence) -> None:
    """A failed boot test fails the run, unless on_boot_failure says to warn only."""
    draft.boot = boot
    draft.add(*boot.findings)
    if boot.verdict is not Verdict.FAILED:
        return
    stop = run.settings.on_boot_failure is OnBootFailure.STOP
    draft.add(
        Finding(
            id="boot-failed",
            level=Level.ERROR if stop else Level.WARNING,
            message=f'"{run.folder.name}" did not boot on {boot.bus}: {boot.reason}.',
            remedy="look at boot/screen.png and boot/console.log beside the report; the disks are kept.",
        )
    )
    if stop:
        run.timeline.failed(StageName.VALIDATE)
        draft.status = RunStatus.FAILED


def _take(run: Context, draft: Draft, repaired: repair.Repaired) -> None:
    draft.guest, draft.plan = repaired.os, repaired.plan
    draft.add(*repaired.findings)
    whole_file.write(run.folder.plan, plan_json.render(repaired.plan))


@contextmanager
def _throwaway(run: Context) -> Iterator[GuestSession]:
    """The guest in --vmdk disks or in finished images, on overlays that are dropped."""
    if run.settings.image:
        images = proof.probe_images(run.settings.image)
        overlays = validate_stage.create_overlays(images, run.folder.tmp)
    else:
        overlays = tuple(overlay.path for overlay in repair.fresh_overlays(run, _fetch_and_flatten(run)))
    with assemble.opened(run, overlays) as session:
        yield session
    repair.drop_overlays(run)


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
