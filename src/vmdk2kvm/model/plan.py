"""A plan: what a run will do to a guest, as a value that can be read, kept and applied later."""

from dataclasses import dataclass

from vmdk2kvm.model.changes import PlannedChange
from vmdk2kvm.model.report import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`id` names the content: two plans with the same changes and findings have the same id."""

    id: str
    changes: tuple[PlannedChange, ...]
    findings: tuple[Finding, ...]
