"""The report of a run as it grows; whichever way the run ends, it can be written."""

import contextlib
from pathlib import Path

from vmdk2kvm.errors import Cancelled, OutputError, Vmdk2KvmError
from vmdk2kvm.model.disk import TargetDisk
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.progress import Found
from vmdk2kvm.model.report import BootEvidence, Finding, Level, Report, RunStatus
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.pipeline.report import write_reports


class Draft:
    def __init__(self, run: Context) -> None:
        self._run = run
        self._findings: list[Finding] = []
        self.guest: GuestOs | None = None
        self.plan: Plan | None = None
        self.disks: tuple[TargetDisk, ...] = ()
        self.boot: BootEvidence | None = None
        self.extra: Path | None = None  # where else the report goes, once that is known to be harmless
        self.keeps_evidence = False  # True: the folder's own report belongs to a migration
        self.status = RunStatus.OK

    def add(self, *findings: Finding) -> None:
        """Findings already known are not repeated."""
        for finding in findings:
            if finding not in self._findings:
                self._findings.append(finding)
                self._run.listener(Found(finding=finding))

    def fail(self, error: BaseException) -> None:
        self.status = RunStatus.FAILED
        if isinstance(error, KeyboardInterrupt):
            error = Cancelled()
        if isinstance(error, Vmdk2KvmError):
            message, remedy = error.message, error.hint
        else:
            message = f'the run ended in an internal error, "{type(error).__name__}".'
            remedy = "report it with the log in .vmdk2kvm/log."
        self._findings.append(Finding(id="run-failed", level=Level.ERROR, message=message, remedy=remedy))

    def report(self) -> Report:
        return Report(
            vm=self._run.folder.name,
            status=self.status,
            stages=self._run.timeline.results,
            disks=self.disks,
            guest=self.guest,
            changes=self.plan.changes if self.plan is not None else (),
            boot=self.boot,
            findings=tuple(self._findings),
        )

    def write(self) -> None:
        folder = None if self.keeps_evidence else self._run.folder.path
        write_reports(self.report(), folder, extra=self.extra)

    def write_if_possible(self) -> None:
        """A run that failed because nothing can be written cannot write why, either."""
        with contextlib.suppress(OutputError, OSError):
            self.write()
