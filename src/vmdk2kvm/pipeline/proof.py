"""VALIDATE: the boot test of finished images, or what an earlier run recorded of it."""

from collections.abc import Sequence
from pathlib import Path

from vmdk2kvm.errors import GuestRefused, NoOperatingSystem
from vmdk2kvm.fixes.engine import plan as plan_fixes
from vmdk2kvm.fixes.engine import unsettled
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.fixes.guest_cards import cards_to_test
from vmdk2kvm.formats import plain
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest import unlock
from vmdk2kvm.guest.inspection_boot import detect_firmware
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.model.changes import PlannedChange
from vmdk2kvm.model.disk import OutputFormat, TargetDisk
from vmdk2kvm.model.guest_os import Firmware, GuestOs
from vmdk2kvm.model.report import BootBus, Finding, Level, StageName
from vmdk2kvm.pipeline import assemble
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.pipeline.records import Record, fingerprint, mark, read_result, write_record
from vmdk2kvm.stages import validate
from vmdk2kvm.stages.hardware import choose_bus, emulated_hardware
from vmdk2kvm.stages.validate import Placed, Validated

Image = tuple[Path, OutputFormat]


def probe_images(paths: Sequence[Path]) -> tuple[Image, ...]:
    """Raises InputNotFound, SourceDiskError."""
    return tuple((path, validate.probe_image(path)) for path in paths)


def proof_fingerprint(run: Context, copied: str, disks: Sequence[TargetDisk]) -> str:
    """The images as they lie there: a copy made anew has to prove itself anew."""
    settings = run.settings
    marks = [plain.write(mark(disk.path)) for disk in disks]
    bus = settings.boot_bus.value if settings.boot_bus else None
    nics = [plain.write(nic) for nic in run.nics]
    return fingerprint(copied, marks, nics, bus, settings.uefi, settings.timeout)


def recorded(run: Context, wanted: str) -> Validated | None:
    validated = read_result(run.folder.records, StageName.VALIDATE, wanted, Validated)
    if validated is not None:
        run.timeline.reused(StageName.VALIDATE, validated.boot.seconds)
    return validated


def record(run: Context, wanted: str, validated: Validated) -> None:
    files = tuple(mark(run.folder.path / name) for name in validated.boot.evidence)
    result = plain.write(validated)
    write_record(
        run.folder.records,
        Record(stage=StageName.VALIDATE, fingerprint=wanted, result=result, files=files),
    )


def boot(run: Context, images: Sequence[Image], *, fixes: Sequence[Fix] = ()) -> Validated:
    """Boot `images` on throwaway overlays. With `fixes`, planning them again must find nothing to do."""
    settings = run.settings
    with run.timeline.stage(StageName.VALIDATE):
        return validate.run(
            images,
            bus=settings.boot_bus,
            scratch=run.folder.tmp,
            evidence_folder=run.folder.boot,
            accelerator=assemble.accelerator(run),
            place_witness=lambda overlays: _place(run, overlays, fixes),
            firmware=Firmware.UEFI if settings.uefi else None,
            timeout_s=settings.timeout,
        )


def _place(run: Context, overlays: Sequence[Path], fixes: Sequence[Fix]) -> Placed:
    """A guest that cannot be looked into is booted all the same, and judged by what can be seen of it."""
    with assemble.opened(run, overlays) as session:
        try:
            os = assemble.look_into(run, session).os
        except (NoOperatingSystem, GuestRefused) as error:
            return _unseen(run, session, error)
        left = _unplanned(session, os, fixes)
        interfaces, macs = cards_to_test(session, os)
        return Placed(
            witness=validate.place(session, os),
            passphrases=unlock.passphrases(session, os.luks),
            memory_mib=unlock.memory_mib(os.luks),
            firmware=os.firmware,
            bus=choose_bus(os),
            arch=os.arch,
            macs=macs,
            interfaces=interfaces,
            findings=(*left, *(() if run.settings.boot_bus else emulated_hardware(os))),
        )


def _unseen(run: Context, session: GuestSession, error: NoOperatingSystem | GuestRefused) -> Placed:
    """What the disks tell by themselves."""
    session.unmount_all()
    devices = session.block_devices()
    found = unlock.volumes(session, devices)
    unknown = isinstance(error, NoOperatingSystem)
    return Placed(
        witness=False,
        firmware=detect_firmware(session, devices, ()),
        macs=tuple(nic.mac for nic in run.nics),
        passphrases=unlock.passphrases(session, found),
        memory_mib=unlock.memory_mib(found),
        bus=BootBus.SATA if unknown else BootBus.VIRTIO_BLK,
        without_witness=error.message.rstrip("."),
    )


def _unplanned(session: GuestSession, os: GuestOs, fixes: Sequence[Fix]) -> tuple[Finding, ...]:
    """The first check of a result: planning the repairs again must find nothing to do."""
    return tuple(_left_to_do(planned) for planned in unsettled(plan_fixes(fixes, session, os)).changes)


def _left_to_do(planned: PlannedChange) -> Finding:
    path = getattr(planned.change, "path", planned.change.kind)
    return Finding(
        id="result-not-settled",
        level=Level.WARNING,
        message=f'the fix "{planned.fix}" would change "{visible(path)}" in the finished image again.',
        remedy="run again with --force; if it stays, report it with the log.",
    )
