"""One VM from source to proof: six stages, in this order."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import UsageError
from vmdk2kvm.fixes.catalog import chosen
from vmdk2kvm.formats import plain, plan_json
from vmdk2kvm.model.choices import OnBootFailure
from vmdk2kvm.model.disk import DiskView
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding, Level, Report, RunStatus, StageName, StageStatus, Verdict
from vmdk2kvm.pipeline import assemble, copies, proof, repair
from vmdk2kvm.pipeline.context import Context, fix_options
from vmdk2kvm.pipeline.draft import Draft
from vmdk2kvm.pipeline.luks_keys import read_luks_keys
from vmdk2kvm.pipeline.outputs import Outputs, claim, extra_report, holds_a_migration, outputs_of
from vmdk2kvm.pipeline.records import (
    Record,
    drop_record,
    fingerprint,
    mark,
    read_record,
    still_there,
    write_record,
)
from vmdk2kvm.pipeline.repair import Repaired
from vmdk2kvm.pipeline.timeline import Listener, Timeline
from vmdk2kvm.pipeline.vm_folder import open_folder, vm_name
from vmdk2kvm.stages import fetch, flatten
from vmdk2kvm.stages import inspect as inspect_stage
from vmdk2kvm.stages import validate as validate_stage
from vmdk2kvm.stages.inspect import Inspected
from vmdk2kvm.stages.validate import Validated
from vmdk2kvm.tools import whole_file

_ALWAYS_DONE = frozenset({StageName.FETCH, StageName.FLATTEN})  # the source is verified each time


_ONLY_PLANNED = Finding(
    id="only-planned",
    level=Level.INFO,
    message="this is a plan: nothing was changed, copied or booted.",
    remedy="run `vmdk2kvm local` with the same options to carry it out.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """`file` is plan.json, None where a migration's own plan.json was left as it is."""

    plan: Plan
    report: Report
    file: Path | None


def migrate(settings: Settings, listener: Listener) -> Report:
    """Move one VM. A failed boot test gives a report whose status is failed; everything else raises.

    The report is written whichever way the run ends.
    """
    with opened(settings, listener) as run, _reported(run) as draft:
        views = _fetch_and_flatten(run, run.folder.overlay)
        outputs = outputs_of(run)
        claim(run, views, outputs)
        draft.extra = extra_report(run, views, outputs.images)
        if settings.force:
            _forget(run)
        copy_key = _repair_and_convert(run, draft, views, outputs)
        repair.drop_overlays(run)
        _prove(run, draft, copy_key)
        _tell_finished(run)
    return draft.report()


def plan(settings: Settings, listener: Listener) -> Planned:
    """The exact changes, into plan.json and the report; source and guest stay as they are."""
    if not {StageName.FETCH, StageName.FLATTEN, StageName.INSPECT, StageName.FIX} <= set(settings.stages):
        raise UsageError(
            "there is nothing to plan, because stages: leaves out what finds the repairs.",
            hint="name fetch, flatten, inspect and fix in stages, or leave stages out.",
        )
    with opened(settings, listener, keep_state=False) as run, _reported(run) as draft:
        if holds_a_migration(run):
            draft.keeps_evidence = True
            run.note(f'"{run.folder.path}" holds a migration; its report and plan.json stay as they are.')
        views = _fetch_and_flatten(run, run.folder.tmp)
        draft.extra = extra_report(run, views, ())
        repaired = repair.only_plan(run, views)
        _take(run, draft, repaired)
        draft.add(_ONLY_PLANNED)
    file = None if draft.keeps_evidence else run.folder.plan
    return Planned(plan=repaired.plan, report=draft.report(), file=file)


def inspect(settings: Settings, listener: Listener) -> Inspected:
    """What is in the disks, and a forecast; nothing is left behind."""
    settings = settings.model_copy(update={"stages": tuple(StageName)})
    with leaving_no_folder(settings), opened(settings, listener, keep_state=False) as run:
        overlays = _overlays_to_look_into(run)
        with run.timeline.stage(StageName.INSPECT), assemble.opened(run, overlays) as session:
            return inspect_stage.with_forecast(session, assemble.look_into(run, session))


def validate(settings: Settings, listener: Listener) -> Report:
    """Boot finished images on throwaway overlays and prove that they come up."""
    if not settings.image:
        raise UsageError(
            "no image is named.", hint="give the disk images of one machine, the boot disk first."
        )
    with opened(settings, listener) as run:
        if holds_a_migration(run):
            raise UsageError(
                f'"{run.folder.path}" holds a migration and its evidence.',
                hint="give this test a name of its own with --vm-name, or another --output-dir.",
            )
        with _reported(run) as draft:
            draft.extra = extra_report(run, (), settings.image)
            _judge(run, draft, proof.boot(run, proof.probe_images(settings.image)))
            if draft.boot is None or draft.boot.verdict is Verdict.NOT_RUN:
                draft.status = RunStatus.FAILED  # to prove a boot is all that was asked for
    return draft.report()


@contextmanager
def opened(settings: Settings, listener: Listener, *, keep_state: bool = True) -> Iterator[Context]:
    """The VM's folder, locked and swept, for as long as the block runs."""
    chosen(fix_options(settings))  # a fix that is not there is told before any work
    keys = read_luks_keys(settings, os.environ)  # and a key
    with open_folder(_folder_of(settings), keep_state=keep_state) as folder:
        yield Context(
            settings=settings,
            folder=folder,
            timeline=Timeline(listener),
            listener=listener,
            luks_keys=keys,
        )


def _folder_of(settings: Settings) -> Path:
    disks = settings.vmdk or settings.image
    if not disks:
        raise UsageError("no disk is named.", hint="give each disk of the VM with --vmdk FILE.")
    return settings.output_dir / vm_name(settings.vm_name, disks[0])


@contextmanager
def _reported(run: Context) -> Iterator[Draft]:
    """Write the report at the end, a failed run's too."""
    draft = Draft(run)
    try:
        yield draft
    except BaseException as error:
        draft.fail(error)
        draft.write_if_possible()
        raise
    draft.write()


@contextmanager
def leaving_no_folder(settings: Settings) -> Iterator[None]:
    """Remove the folders that had to be made, the VM's own and those above it."""
    folder = _folder_of(settings)
    with whole_file.translated(folder):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def _forget(run: Context) -> None:
    for stage in (StageName.FLATTEN, StageName.FIX, StageName.CONVERT, StageName.VALIDATE):
        drop_record(run.folder.records, stage)


def _fetch_and_flatten(run: Context, scratch: Path) -> tuple[DiskView, ...]:
    settings = run.settings
    with run.timeline.stage(StageName.FETCH):
        fetched = fetch.run(settings.vmdk, allow_external_extents=settings.allow_external_extents)
    if not run.wants(StageName.FLATTEN):
        return ()
    with run.timeline.stage(StageName.FLATTEN):
        scratch.mkdir(exist_ok=True)
        return flatten.run(fetched, scratch).views


def _materialize(run: Context, views: Sequence[DiskView], outputs: Outputs) -> None:
    """The flattened disks as files, where they are wanted and not there yet."""
    files = [[plain.write(file) for file in view.files] for view in views]
    wanted = fingerprint(files, [str(path) for path in outputs.flattened])
    found = read_record(run.folder.records, StageName.FLATTEN, wanted)
    if not outputs.flattened or (found is not None and still_there(found.files)):
        return
    with run.timeline.stage(StageName.FLATTEN):
        for view, path in zip(views, outputs.flattened, strict=True):
            flatten.materialize(view, path, run.listener, format=run.settings.out_format)
            run.note(f'the flattened disk, before any repair, is in "{path}".')
    marks = tuple(mark(path) for path in outputs.flattened)
    record = Record(stage=StageName.FLATTEN, fingerprint=wanted, result={}, files=marks)
    write_record(run.folder.records, record)


def _repair_and_convert(run: Context, draft: Draft, views: tuple[DiskView, ...], outputs: Outputs) -> str:
    """What an earlier run repaired and copied from the same inputs counts; the rest is done.

    Returns the fingerprint of the copy.
    """
    repair_key = repair.repair_fingerprint(run, views)
    copy_key = copies.convert_fingerprint(run, repair_key, outputs)
    if not (run.wants(StageName.INSPECT) or run.wants(StageName.CONVERT)):
        _materialize(run, views, outputs)
        return copy_key
    repaired = repair.recorded(run, views, repair_key)
    copied = copies.recorded(run, copy_key) if repaired is not None else None
    if repaired is None or not (copied or repaired.is_intact):
        repaired = repair.repair(run, views, repair_key)
    else:
        repair.tell_reused(run, repaired)
    _take(run, draft, repaired)
    _materialize(run, views, outputs)  # a guest that is refused is refused before anything long
    if run.wants(StageName.CONVERT):
        draft.disks = (
            copies.reuse(run, copied) if copied else copies.copy(run, repaired.overlays, outputs, copy_key)
        )
    return copy_key


def _prove(run: Context, draft: Draft, copy_key: str) -> None:
    """Boot the images, where that is wanted and not yet proven; a proof they have is never lost."""
    if not draft.disks:
        return
    proof_key = proof.proof_fingerprint(run, copy_key, draft.disks)
    validated = proof.recorded(run, proof_key)
    if validated is None:
        if not run.wants(StageName.VALIDATE):
            return
        images = tuple((disk.path, disk.format) for disk in draft.disks)
        validated = proof.boot(run, images, fixes=run.fixes if run.wants(StageName.FIX) else ())
        if validated.boot.verdict is Verdict.BOOTED:
            proof.record(run, proof_key, validated)
    _judge(run, draft, validated)


def _tell_finished(run: Context) -> None:
    did = {result.status for result in run.timeline.results if result.name not in _ALWAYS_DONE}
    if did <= {StageStatus.REUSED, StageStatus.SKIPPED} and StageStatus.REUSED in did:
        run.note("this VM was finished before and its source is the same; --force does it again.")


def _judge(run: Context, draft: Draft, validated: Validated) -> None:
    """A failed boot test fails the run, unless on_boot_failure says to warn only."""
    boot = validated.boot
    draft.boot = boot
    draft.add(*validated.findings)
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


def _take(run: Context, draft: Draft, repaired: Repaired) -> None:
    draft.guest, draft.plan = repaired.os, repaired.plan
    draft.add(*repaired.findings)
    if not draft.keeps_evidence:
        whole_file.write(run.folder.plan, plan_json.render(repaired.plan))


def _overlays_to_look_into(run: Context) -> Sequence[Path]:
    """Throwaway overlays over the --vmdk disks, or over finished images."""
    if run.settings.image:
        return validate_stage.create_overlays(proof.probe_images(run.settings.image), run.folder.tmp)
    views = _fetch_and_flatten(run, run.folder.tmp)
    return [overlay.path for overlay in repair.fresh_overlays(views, run.folder.tmp)]
