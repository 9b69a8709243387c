"""An output file appears under its name whole and durable, or not at all."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmdk2kvm.errors import OutputError, OutputFull, OutputNotWritable

_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST})
_ELSEWHERE = "choose another place for it, such as another --output-dir or to_output"


def part_of(target: Path) -> Path:
    """The name a file has while it is being written."""
    return target.with_name(target.name + ".part")


def reserve(target: Path) -> None:
    """Make the folder and an empty part file, so that a folder nobody may write to fails early.

    Raises OutputNotWritable, OutputFull.
    """
    part = part_of(target)
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # what a killed run left
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))


def probe(target: Path) -> None:
    """Whether a file could be written there. Raises OutputNotWritable, OutputFull."""
    reserve(target)
    part_of(target).unlink()


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give the path to write to; at the end it is synced and renamed, after an error removed.

    Raises OutputFull, OutputNotWritable.
    """
    part = part_of(target)
    try:
        yield part
        keep(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def keep(target: Path) -> None:
    """Give a part file that is whole its name. Raises OutputFull, OutputNotWritable."""
    part = part_of(target)
    with translated(target):
        _sync(part, os.O_RDONLY)
        part.replace(target)
        _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def sync(path: Path) -> None:
    """Wait until the disk holds what was written. Raises OutputFull, OutputNotWritable."""
    with translated(path):
        _sync(path, os.O_RDONLY)


def write(target: Path, text: str) -> None:
    """A small text file. Raises OutputFull, OutputNotWritable."""
    with appearing(target) as part, translated(target):
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def start_writeback(path: Path) -> None:
    """Let the kernel begin to write what is dirty, so that little is left to the final sync.

    Only a hint (sync_file_range(2), which does not wait): where it fails, the sync does all the work.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        whole = ctypes.c_int64(0)
        ctypes.CDLL(None).sync_file_range(descriptor, whole, whole, _SYNC_FILE_RANGE_WRITE)
    finally:
        os.close(descriptor)


@contextmanager
def translated(target: Path) -> Iterator[None]:
    """Turn the host's refusals into ours."""
    try:
        yield
    except OSError as reason:
        raise output_error(target, reason.errno or 0, reason.strerror or str(reason)) from reason


def output_error(target: Path, number: int, reason: str) -> OutputError:
    if number in _FULL:
        return OutputFull(
            f'there is no room left for "{target}": {reason}.',
            hint=f'free space in "{target.parent}", or {_ELSEWHERE}.',
            path=target,
        )
    return OutputNotWritable(
        f'"{target}" cannot be written: {reason}.',
        hint=f"a part of its path is a file; {_ELSEWHERE}." if number in _IN_THE_WAY else f"{_ELSEWHERE}.",
        path=target,
    )


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
