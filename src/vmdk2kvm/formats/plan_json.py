"""plan.json: a plan as text, every byte of every exact change included.

Contents stand as text where they are clean utf-8, else as base64, each with its SHA-256. The id is
the first 12 hex digits of the SHA-256 of the canonical rendering (sorted keys, no spaces) without
the id; `parse` refuses a file whose contents do not match their sums.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vmdk2kvm.errors import ConfigError
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    PlannedChange,
    Rebuild,
    RebuildKind,
    Relabel,
    RemoveFile,
    RemoveLink,
    RunCommand,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.guest_os import InitramfsTool
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding, Level

SCHEMA = 1
ID_LENGTH = 12

Fields = dict[str, Any]


def plan_of(changes: Sequence[PlannedChange], findings: Sequence[Finding]) -> Plan:
    """The plan of these changes, under the id its content gives it."""
    body = json.dumps(_body(changes, findings), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    return Plan(id=digest[:ID_LENGTH], changes=tuple(changes), findings=tuple(findings))


def render(plan: Plan) -> str:
    fields = {"schema": SCHEMA, "id": plan.id, **_body(plan.changes, plan.findings)}
    return json.dumps(fields, indent=2, ensure_ascii=True) + "\n"


def parse(text: str) -> Plan:
    """The plan `render` wrote. Raises ConfigError for anything else, an altered plan included."""
    try:
        fields = json.loads(text)
        if fields["schema"] != SCHEMA:
            raise _refused(f"has schema {fields['schema']!r}, not {SCHEMA}")
        changes = [_planned_change(item) for item in fields["changes"]]
        plan = plan_of(changes, [_finding(item) for item in fields["findings"]])
        written_id = fields["id"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused("is not a plan of this tool") from error
    if plan.id != written_id:
        raise _refused("was altered after it was written: its id does not match its content")
    return plan


def _refused(reason: str) -> ConfigError:
    return ConfigError(f'"plan.json" {reason}.', hint="make the plan again with `vmdk2kvm plan`.")


def _body(changes: Sequence[PlannedChange], findings: Sequence[Finding]) -> Fields:
    return {
        "changes": [{"fix": item.fix, **change_fields(item.change)} for item in changes],
        "findings": [finding_fields(finding) for finding in findings],
    }


def finding_fields(finding: Finding) -> dict[str, str]:
    return {
        "id": finding.id,
        "level": finding.level.value,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def _finding(fields: Mapping[str, str]) -> Finding:
    return Finding(
        id=fields["id"],
        level=Level(fields["level"]),
        message=fields["message"],
        remedy=fields["remedy"],
    )


def change_fields(change: Change) -> Fields:
    """One change as JSON values; "kind" says which."""
    match change:
        case WriteFile():
            return {
                "kind": change.kind,
                "path": change.path,
                "mode": f"{change.mode:04o}",
                "before": None if change.before is None else _content(change.before),
                "after": _content(change.after),
            }
        case RemoveFile():
            return {"kind": change.kind, "path": change.path, "before": _content(change.before)}
        case MakeSymlink() | RemoveLink():
            target = {"target": change.target} if isinstance(change, MakeSymlink) else {}
            return {"kind": change.kind, "path": change.path, "before": change.before, **target}
        case CopyWithin():
            return {
                "kind": change.kind,
                "path": change.path,
                "source": change.source,
                "size_bytes": change.size_bytes,
                "sha256": change.sha256,
            }
        case AppendInitramfs():
            return {
                "kind": change.kind,
                "path": change.path,
                "kernel": change.kernel,
                "files": dict(change.files),
                "must_hold": sorted(change.must_hold),
                "before": {"size_bytes": change.before_bytes, "sha256": change.before_sha256},
                "after": {"size_bytes": change.after_bytes, "sha256": change.after_sha256},
            }
        case RunCommand():
            return {
                "kind": change.kind,
                "argv": list(change.argv),
                "done_when": change.done_when,
                "gone": list(change.gone),
                "may_write": list(change.may_write),
                "may_remove": list(change.may_remove),
                "optional": change.optional,
            }
        case SetLabel():
            return {"kind": change.kind, "path": change.path, "label": change.label}
        case Relabel():
            return {"kind": change.kind, "path": change.path, "unlabelled": list(change.unlabelled)}
        case Rebuild():
            return {
                "kind": change.kind,
                "what": change.what.value,
                "tool": change.tool.value,
                "kernel": change.kernel,
                "path": change.path,
                "must_hold": sorted(change.must_hold),
                "estimated_bytes": change.estimated_bytes,
                "arguments": list(change.arguments),
                "stale_names": change.stale_names,
                "must_keep": list(change.must_keep),
                "copy_of": change.copy_of,
            }


def _planned_change(fields: Fields) -> PlannedChange:
    return PlannedChange(fix=_text(fields["fix"]), change=_PARSERS[fields["kind"]](fields))


def _write_file(fields: Fields) -> WriteFile:
    return WriteFile(
        path=_text(fields["path"]),
        before=None if fields["before"] is None else _bytes(fields["before"]),
        after=_bytes(fields["after"]),
        mode=int(fields["mode"], 8),
    )


def _remove_file(fields: Fields) -> RemoveFile:
    return RemoveFile(path=_text(fields["path"]), before=_bytes(fields["before"]))


def _make_symlink(fields: Fields) -> MakeSymlink:
    before = fields["before"]
    return MakeSymlink(
        path=_text(fields["path"]),
        before=None if before is None else _text(before),
        target=_text(fields["target"]),
    )


def _remove_link(fields: Fields) -> RemoveLink:
    return RemoveLink(path=_text(fields["path"]), before=_text(fields["before"]))


def _copy_within(fields: Fields) -> CopyWithin:
    return CopyWithin(
        path=_text(fields["path"]),
        source=_text(fields["source"]),
        size_bytes=int(fields["size_bytes"]),
        sha256=_text(fields["sha256"]),
    )


def _append_initramfs(fields: Fields) -> AppendInitramfs:
    before, after = fields["before"], fields["after"]
    return AppendInitramfs(
        path=_text(fields["path"]),
        kernel=_text(fields["kernel"]),
        files=tuple((_text(name), _text(digest)) for name, digest in fields["files"].items()),
        must_hold=frozenset(_text(name) for name in fields["must_hold"]),
        before_bytes=int(before["size_bytes"]),
        before_sha256=_text(before["sha256"]),
        after_bytes=int(after["size_bytes"]),
        after_sha256=_text(after["sha256"]),
    )


def _run_command(fields: Fields) -> RunCommand:
    return RunCommand(
        argv=tuple(_text(word) for word in fields["argv"]),
        done_when=None if fields["done_when"] is None else _text(fields["done_when"]),
        may_write=tuple(_text(path) for path in fields["may_write"]),
        may_remove=tuple(_text(path) for path in fields["may_remove"]),
        gone=tuple(_text(path) for path in fields["gone"]),
        optional=bool(fields["optional"]),
    )


def _set_label(fields: Fields) -> SetLabel:
    return SetLabel(path=_text(fields["path"]), label=_text(fields["label"]))


def _relabel(fields: Fields) -> Relabel:
    return Relabel(path=_text(fields["path"]), unlabelled=tuple(_text(path) for path in fields["unlabelled"]))


def _rebuild(fields: Fields) -> Rebuild:
    return Rebuild(
        what=RebuildKind(fields["what"]),
        tool=InitramfsTool(fields["tool"]),
        kernel=_text(fields["kernel"]),
        path=_text(fields["path"]),
        must_hold=frozenset(_text(name) for name in fields["must_hold"]),
        estimated_bytes=int(fields["estimated_bytes"]),
        arguments=tuple(_text(word) for word in fields["arguments"]),
        stale_names=bool(fields["stale_names"]),
        must_keep=tuple(_text(path) for path in fields["must_keep"]),
        copy_of=None if fields["copy_of"] is None else _text(fields["copy_of"]),
    )


_PARSERS: dict[str, Callable[[Fields], Change]] = {
    "write-file": _write_file,
    "remove-file": _remove_file,
    "make-symlink": _make_symlink,
    "remove-link": _remove_link,
    "copy-within": _copy_within,
    "append-initramfs": _append_initramfs,
    "set-label": _set_label,
    "run-command": _run_command,
    "relabel": _relabel,
    "rebuild": _rebuild,
}


def _content(content: bytes) -> dict[str, str]:
    digest = hashlib.sha256(content).hexdigest()
    try:
        return {"text": content.decode(), "sha256": digest}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii"), "sha256": digest}


def _bytes(fields: Mapping[str, str]) -> bytes:
    content = fields["text"].encode() if "text" in fields else _base64(fields["base64"])
    if hashlib.sha256(content).hexdigest() != fields["sha256"]:
        raise ValueError("a content does not match its sha256")
    return content


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
