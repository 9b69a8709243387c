"""What a run tells its listener while it works."""

from dataclasses import dataclass

from vmdk2kvm.model.report import Finding, StageName, StageStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    stage: StageName


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEnded:
    stage: StageName
    status: StageStatus
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one disk is; sizes in bytes of the disk's virtual size."""

    stage: StageName
    disk: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding, as soon as it is known."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something worth one line: which accelerator is used, what is being waited for."""

    text: str


Event = StageStarted | StageEnded | Progress | Found | Note
