"""Findings, and the values a report is made of."""

from dataclasses import dataclass
from enum import Enum

from vmdk2kvm.model.changes import PlannedChange
from vmdk2kvm.model.disk import TargetDisk
from vmdk2kvm.model.guest_os import GuestOs


class Level(Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something the operator should know; `remedy` is what to do about it."""

    id: str  # "fstab-unresolved-name": stable, greppable
    level: Level
    message: str
    remedy: str


class StageName(Enum):
    FETCH = "fetch"
    FLATTEN = "flatten"
    INSPECT = "inspect"
    FIX = "fix"
    CONVERT = "convert"
    VALIDATE = "validate"


class StageStatus(Enum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"  # not asked for
    REUSED = "reused"  # a record of an earlier run still holds


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """`seconds` are those of the earlier run where the status is REUSED."""

    name: StageName
    status: StageStatus
    seconds: float


class Verdict(Enum):
    BOOTED = "booted"
    FAILED = "failed"
    NOT_RUN = "not-run"


class BootBus(Enum):
    VIRTIO_BLK = "virtio-blk"
    VIRTIO_SCSI = "virtio-scsi"
    PVSCSI = "pvscsi"  # as on VMware
    AHCI = "ahci"  # as on VMware, UEFI
    SATA = "sata"  # emulated, for a guest without virtio: AHCI and an e1000e card


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEvidence:
    """How a boot test ended. `reason` names the failure; `evidence` lists files beside the report."""

    verdict: Verdict
    firmware: str
    bus: str
    seconds: float
    reason: str | None = None
    evidence: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()


class RunStatus(Enum):
    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run of one VM went. A failure is also a finding of level error, with its remedy."""

    vm: str
    status: RunStatus
    stages: tuple[StageResult, ...]
    disks: tuple[TargetDisk, ...] = ()
    guest: GuestOs | None = None
    changes: tuple[PlannedChange, ...] = ()
    boot: BootEvidence | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def seconds(self) -> float:
        """What this run itself took."""
        return sum(stage.seconds for stage in self.stages if stage.status is not StageStatus.REUSED)
