"""`vmdk2kvm local`: move a VM whose disks are on this host."""

from vmdk2kvm.cli import plan, render
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import ValidationFailed
from vmdk2kvm.formats.escapes import one_line
from vmdk2kvm.model.report import Report, RunStatus, StageStatus, Verdict
from vmdk2kvm.model.units import format_bytes, format_seconds


def run(settings: Settings) -> int:
    if settings.dry_run or settings.print_fstab:
        return plan.run(settings)
    from vmdk2kvm.pipeline.migrate import migrate

    with render.open_listener(settings) as listener:
        report = migrate(settings, listener)
    return show_report(settings, report)


def show_report(settings: Settings, report: Report) -> int:
    """The report on stdout. Raises ValidationFailed where it is that of a failure."""
    if settings.as_json:
        from vmdk2kvm.formats.report_json import report_fields

        render.show_json(report_fields(report))
    else:
        render.show("".join(f"{line}\n" for line in summary(settings, report)))
    if report.status is RunStatus.FAILED:
        raise _failure(settings, report)
    return 0


def _failure(settings: Settings, report: Report) -> ValidationFailed:
    boot, folder = report.boot, settings.output_dir / report.vm
    reason = (boot and boot.reason) or "no boot was tested"
    if boot is None or boot.verdict is Verdict.NOT_RUN:
        message, hint = f'"{report.vm}" did not prove itself: {reason}.', f'read "{folder / "report.md"}".'
    else:
        message = f'"{report.vm}" did not boot on {boot.bus}: {reason}.'
        hint = f'look at "{folder / "boot/screen.png"}" and read "{folder / "report.md"}".'
    return ValidationFailed(message, hint=hint, reason=reason)


def summary(settings: Settings, report: Report) -> list[str]:
    head = f"{one_line(report.vm)}: {report.status.value} in {format_seconds(report.seconds)}"
    disks = [
        f"{one_line(str(disk.path))} ({disk.format.value}, {format_bytes(disk.virtual_size_bytes)})"
        for disk in report.disks
    ]
    rows = [("disk", text) for text in disks]
    reused = [stage.name.value for stage in report.stages if stage.status is StageStatus.REUSED]
    if reused:
        rows.append(("reused", f"{', '.join(reused)}: done by an earlier run, with the same inputs"))
    if report.guest is not None:
        rows.append(("guest", f"{one_line(report.guest.name)}, {len(report.changes)} changes"))
    rows.append(("boot", boot_line(report)))
    rows.append(("report", one_line(str(settings.output_dir / report.vm / "report.md"))))
    return [head, *(f"  {name:<7} {text}" for name, text in rows)]


def boot_line(report: Report) -> str:
    boot = report.boot
    if boot is None:
        return "not tested (--qemu-test proves it)"
    if boot.verdict is Verdict.NOT_RUN:
        return f"not tested: {one_line(boot.reason or 'no reason is recorded')}"
    how = f"on {boot.bus} by {boot.firmware.upper()} after {format_seconds(boot.seconds)}"
    reason = f": {one_line(boot.reason)}" if boot.reason else ""
    return f"{boot.verdict.value} {how}{reason}"
