"""CONVERT, or what an earlier run recorded of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from vmdk2kvm.formats import plain
from vmdk2kvm.model.disk import Overlay, TargetDisk
from vmdk2kvm.model.report import StageName
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.pipeline.outputs import Outputs
from vmdk2kvm.pipeline.records import Record, drop_record, fingerprint, mark, read_result, write_record
from vmdk2kvm.stages import convert


def convert_fingerprint(run: Context, repaired: str, outputs: Outputs) -> str:
    settings = run.settings
    return fingerprint(
        repaired,
        settings.out_format.value,
        settings.compress,
        settings.checksum,
        [str(path) for path in outputs.targets],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Images that an earlier run wrote and nobody touched since."""

    disks: tuple[TargetDisk, ...]
    seconds: float


def recorded(run: Context, wanted: str) -> Copied | None:
    return read_result(run.folder.records, StageName.CONVERT, wanted, Copied)


def reuse(run: Context, copied: Copied) -> tuple[TargetDisk, ...]:
    run.timeline.reused(StageName.CONVERT, copied.seconds)
    return copied.disks


def copy(run: Context, overlays: Sequence[Overlay], outputs: Outputs, wanted: str) -> tuple[TargetDisk, ...]:
    """Write the images; what was proven of older ones does not count any more."""
    for stage in (StageName.CONVERT, StageName.VALIDATE):
        drop_record(run.folder.records, stage)
    settings = run.settings
    with run.timeline.stage(StageName.CONVERT):
        converted = convert.run(
            overlays,
            outputs.targets,
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
        files=tuple(mark(path) for path in (*outputs.targets, *outputs.sums)),
    )
    write_record(run.folder.records, record)
    return converted.disks
