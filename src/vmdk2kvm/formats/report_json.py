"""report.json, schema 1: what a program reads about a run."""

from typing import Any

from vmdk2kvm.formats import json_text
from vmdk2kvm.formats.guest_json import guest_fields
from vmdk2kvm.formats.plan_json import change_fields, finding_fields
from vmdk2kvm.model.changes import PlannedChange
from vmdk2kvm.model.report import BootEvidence, Report, Verdict

SCHEMA = 1


def render(report: Report) -> str:
    return json_text.render(report_fields(report))


def report_fields(report: Report) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "vm": report.vm,
        "status": report.status.value,
        "stages": [
            {"name": one.name.value, "status": one.status.value, "seconds": round(one.seconds, 3)}
            for one in report.stages
        ],
        "disks": [
            {
                "path": str(one.path),
                "format": one.format.value,
                "virtual_size_bytes": one.virtual_size_bytes,
                "sha256": one.sha256,
            }
            for one in report.disks
        ],
        "guest": guest_fields(report.guest) if report.guest else None,
        "changes": [_change(one) for one in report.changes],
        "boot": _boot(report.boot),
        "findings": [finding_fields(one) for one in report.findings],
    }


def _change(planned: PlannedChange) -> dict[str, Any]:
    """As in plan.json, with the sums of contents and not the contents."""
    fields = {key: _sum_only(value) for key, value in change_fields(planned.change).items()}
    return {"fix": planned.fix, **fields}


def _sum_only(value: Any) -> Any:
    return {"sha256": value["sha256"]} if isinstance(value, dict) and "sha256" in value else value


def _boot(boot: BootEvidence | None) -> dict[str, Any]:
    if boot is None:
        return {
            "verdict": Verdict.NOT_RUN.value,
            "firmware": None,
            "bus": None,
            "seconds": 0.0,
            "evidence": [],
            "reason": None,
            "facts": {},
        }
    return {
        "verdict": boot.verdict.value,
        "firmware": boot.firmware,
        "bus": boot.bus,
        "seconds": round(boot.seconds, 3),
        "evidence": list(boot.evidence),
        "reason": boot.reason,
        "facts": dict(boot.facts),
    }
