"""A plan for a person to read: exact changes as unified diffs, opaque ones as what will be run."""

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby

from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.unified_diff import unified_diff
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    PlannedChange,
    Rebuild,
    Relabel,
    RemoveFile,
    RemoveLink,
    RunCommand,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.units import format_bytes


def render(changes: Sequence[PlannedChange]) -> str:
    """Every change in order, under the name of the fix that wants it; "" for an empty plan."""
    return "".join(_blocks(changes))


def _blocks(changes: Sequence[PlannedChange]) -> Iterator[str]:
    for fix, planned in groupby(changes, key=lambda one: one.fix):
        yield f"# {visible(fix)}\n"
        for one in planned:
            yield describe(one.change)


def describe(change: Change) -> str:
    """One change as lines of text, safe to show."""
    match change:
        case WriteFile():
            new = f"new file, mode {change.mode:04o}\n" if change.before is None else ""
            return new + unified_diff(change.path, change.before, change.after)
        case RemoveFile():
            return unified_diff(change.path, change.before, None)
        case MakeSymlink() | RemoveLink():
            return _link(change)
        case CopyWithin():
            size = format_bytes(change.size_bytes)
            return f"copy {_quoted(change.source)} to {_quoted(change.path)} ({size})\n"
        case AppendInitramfs():
            return _append(change)
        case SetLabel():
            return f"label {_quoted(change.path)} {_quoted(change.label)}\n"
        case RunCommand():
            return _run(change)
        case Relabel():
            return f"label what programs made by {_quoted(change.path)}\n"
        case Rebuild():
            return _rebuild(change)


def title(change: Change) -> str:
    """What the change is about, on one line."""
    match change:
        case RunCommand():
            return "run " + visible(shlex.join(change.argv)).replace("\n", "\\n")
        case Rebuild():
            return f"rebuild {change.what.value} {_quoted(change.path)}"
        case _:
            return f"{change.kind.replace('-', ' ')} {_quoted(change.path)}"


def _run(change: RunCommand) -> str:
    argv = visible(shlex.join(change.argv)).replace("\n", "\\n")
    may_write = ", ".join(map(_quoted, change.may_write)) or "nothing"
    exist = () if change.done_when is None else (f"{_quoted(change.done_when)} exists",)
    done = " and ".join((*exist, *(f"{_quoted(path)} is gone" for path in change.gone)))
    may_fail = "; may fail" if change.optional else ""
    return f"run {argv}\n  done when {done}; may write below {may_write}{may_fail}\n"


def _link(change: MakeSymlink | RemoveLink) -> str:
    if isinstance(change, RemoveLink):
        return f"remove the link {_quoted(change.path)} -> {_quoted(change.before)}\n"
    was = f" (was {_quoted(change.before)})" if change.before is not None else ""
    return f"link {_quoted(change.path)} -> {_quoted(change.target)}{was}\n"


def _append(change: AppendInitramfs) -> str:
    size = format_bytes(change.after_bytes - change.before_bytes)
    held = "".join(f"  + {_quoted(name)} (sha256 {visible(digest)})\n" for name, digest in change.files)
    modules = ", ".join(sorted(map(visible, change.must_hold)))
    return (
        f"append {size} of drivers to {_quoted(change.path)} for kernel {_quoted(change.kernel)}\n"
        f"{held}  must hold {modules}\n"
    )


def _rebuild(change: Rebuild) -> str:
    modules = ", ".join(sorted(map(visible, change.must_hold)))
    told = visible(shlex.join(change.arguments)).replace("\n", "\\n")
    return (
        f"rebuild {change.what.value} {_quoted(change.path)} for kernel {_quoted(change.kernel)}"
        f" with {change.tool.value}{' ' if told else ''}{told}\n  must hold {modules}\n"
    )


def _quoted(text: str) -> str:
    return '"' + visible(text).replace("\n", "\\n") + '"'
