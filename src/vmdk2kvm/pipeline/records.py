"""What a run has finished, so that a killed one goes on where it was.

A record says "this stage, with these inputs, ended with this". The inputs are told by a
fingerprint; a record with another fingerprint, or one that cannot be read, does not count.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vmdk2kvm.formats import plain
from vmdk2kvm.model.report import StageName
from vmdk2kvm.tools import whole_file

_SCHEMA = 1
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMark:
    """A file as a stage left it; equal marks mean nobody has touched it since."""

    path: str
    size_bytes: int
    mtime_ns: int


def mark(path: Path) -> FileMark:
    """Raises FileNotFoundError."""
    stat = path.stat()
    return FileMark(path=str(path), size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)


def still_there(marks: Sequence[FileMark]) -> bool:
    try:
        return all(mark(Path(one.path)) == one for one in marks)
    except OSError:
        return False


def fingerprint(*inputs: object) -> str:
    """SHA-256 of anything JSON can hold; order matters."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    stage: StageName
    fingerprint: str
    result: dict[str, Any]
    files: tuple[FileMark, ...] = ()


def write_record(folder: Path, record: Record) -> None:
    """Durable and atomic: the record appears whole or not at all."""
    text = json.dumps(
        {
            "schema": _SCHEMA,
            "stage": record.stage.value,
            "fingerprint": record.fingerprint,
            "files": [[one.path, one.size_bytes, one.mtime_ns] for one in record.files],
            "result": record.result,
        },
        indent=1,
    )
    whole_file.write(folder / f"{record.stage.value}.json", text)


def read_record(folder: Path, stage: StageName, wanted: str) -> Record | None:
    """The stage's record if it is for the inputs `wanted`, else None."""
    try:
        stored = json.loads((folder / f"{stage.value}.json").read_text("utf-8"))
        if stored["schema"] != _SCHEMA or stored["fingerprint"] != wanted:
            return None
        files = tuple(
            FileMark(path=path, size_bytes=size, mtime_ns=mtime) for path, size, mtime in stored["files"]
        )
        return Record(stage=stage, fingerprint=wanted, result=stored["result"], files=files)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_result(folder: Path, stage: StageName, wanted: str, kind: type[_Result]) -> _Result | None:
    """The record's result as a `kind`, None where it does not fit or a file it left has been touched."""
    record = read_record(folder, stage, wanted)
    if record is None or not still_there(record.files):
        return None
    try:
        result: _Result = plain.read(kind, record.result)
        return result
    except (ValueError, KeyError, TypeError):
        return None


def drop_record(folder: Path, stage: StageName) -> None:
    (folder / f"{stage.value}.json").unlink(missing_ok=True)
