"""CONVERT, or what an earlier run recorded of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import OutputNotWritable
from vmdk2kvm.formats import plain
from vmdk2kvm.model.disk import Overlay, TargetDisk
from vmdk2kvm.model.report import StageName
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.pipeline.records import (
    Record,
    drop_record,
    fingerprint,
    mark,
    read_record,
    still_there,
    write_record,
)
from vmdk2kvm.stages import convert
from vmdk2kvm.tools import whole_file


def convert_fingerprint(run: Context, repaired: str, targets: Sequence[Path]) -> str:
    settings = run.settings
    return fingerprint(
        repaired,
        settings.out_format.value,
        settings.compress,
        settings.checksum,
        [str(path) for path in targets],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Images that an earlier run wrote and nobody touched since."""

    disks: tuple[TargetDisk, ...]
    seconds: float


def recorded(run: Context, wanted: str) -> Copied | None:
    record = read_record(run.folder.records, StageName.CONVERT, wanted)
    if record is None or not still_there(record.files):
        return None
    try:
        copied: Copied = plain.read(Copied, record.result)
        return copied
    except (ValueError, KeyError, TypeError):
        return None


def reuse(run: Context, copied: Copied) -> tuple[TargetDisk, ...]:
    run.timeline.reused(StageName.CONVERT, copied.seconds)
    return copied.disks


def copy(
    run: Context, overlays: Sequence[Overlay], targets: Sequence[Path], wanted: str
) -> tuple[TargetDisk, ...]:
    """Write the images. A file that no run of this VM wrote is not replaced without --force."""
    drop_record(run.folder.records, StageName.CONVERT)
    _claim(run, targets)
    settings = run.settings
    with run.timeline.stage(StageName.CONVERT):
        converted = convert.run(
            overlays,
            targets,
            format=settings.out_format,
            compress=settings.compress,
            checksum=settings.checksum,
            workers=settings.workers,
            on_progress=run.listener,
        )
    seconds = next(one.seconds for one in run.timeline.results if one.name is StageName.CONVERT)
    record = Record(
        stage=StageName.CONVERT,
        fingerprint=wanted,
        result=plain.write(Copied(disks=converted.disks, seconds=seconds)),
        files=tuple(mark(disk.path) for disk in converted.disks),
    )
    write_record(run.folder.records, record)
    return converted.disks


def _claim(run: Context, targets: Sequence[Path]) -> None:
    """Note, before the first byte, which names are ours: a killed run must recognise its own files."""
    claimed = _claimed(run)
    names = [str(path) for path in targets]
    for path, name in zip(targets, names, strict=True):
        if path.exists() and name not in claimed and not run.settings.force:
            raise OutputNotWritable(
                f'"{path}" is there already and is not a result of this VM.',
                hint="move it away, choose another to_output, or replace it with --force.",
                path=path,
            )
    whole_file.write(_claims(run), json.dumps(sorted(claimed | set(names))))


def _claimed(run: Context) -> set[str]:
    try:
        return set(json.loads(_claims(run).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def _claims(run: Context) -> Path:
    return run.folder.records / "targets.json"
