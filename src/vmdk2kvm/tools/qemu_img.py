"""qemu-img(1), one function per subcommand. The format of every image is always named.

An image is an ImageFile, or a BlockNode: `json:` text that names the driver of every layer itself.
"""

import errno
import json
import os
import re
import select
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmdk2kvm.errors import Cancelled, OutputError, ToolFailed
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.tools.run import PIPE, Completed, Process, run, start
from vmdk2kvm.tools.whole_file import output_error, start_writeback

_PROGRESS = re.compile(rb"\((\d+\.\d+)/100%\)")
_POLL_S = 0.1

_SIGNS = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.ENOSPC,
    "File too large": errno.ENOSPC,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    path: Path
    format: str  # QEMU's name of the driver: "qcow2", "raw", "vdi"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockNode:
    text: str  # "json:{…}"


Image = ImageFile | BlockNode


OnFraction = Callable[[float], None]  # told how much of the work is done, from 0.0 to 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How much room a converted image takes, holes left out."""

    required_bytes: int


def create_overlay(path: Path, *, backing: BlockNode, backing_format: str) -> None:
    """Make an empty qcow2 over `backing`. Raises ToolFailed, OutputFull, OutputNotWritable."""
    argv = ["create", "-q", "-f", "qcow2", "-F", backing_format, "-b", backing.text, str(path)]
    _run(argv, output=path)


def convert(
    source: Image,
    path: Path,
    *,
    format: OutputFormat,
    compress: bool = False,
    on_fraction: OnFraction | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Copy `source` into a new image. The result is in the page cache: the caller calls fsync.

    Raises ToolFailed, OutputFull, OutputNotWritable, and Cancelled once `stop` is set.
    """
    # -W: clusters may land a few MiB out of order; a tenth to a fifth faster on a fresh file
    argv = ["convert", "-p", "-W", "-O", format.value]
    if compress:
        argv.append("-c")
    argv = ["qemu-img", *argv, *_named(source), str(path)]
    with tempfile.TemporaryFile() as stderr:
        with start(argv, stdout=PIPE, stderr=stderr, env=_environment()) as process:
            for done in _fractions(process):
                if stop is not None and stop.is_set():
                    raise Cancelled
                if done is not None and on_fraction is not None:
                    on_fraction(done)
                start_writeback(path)
            status = process.wait()
        if status != 0:
            stderr.seek(0)
            said = stderr.read().decode("utf-8", "replace")
            raise _translated(ToolFailed(argv, status, said), path)


def commit(overlay: Path, *, image: Path) -> None:
    """Write what a qcow2 overlay holds into its backing image, and leave the overlay as it is.

    Doing it again after a half-done one ends in the same image. Raises ToolFailed, OutputFull,
    OutputNotWritable.
    """
    _run(["commit", "-q", "-d", "-f", "qcow2", str(overlay)], output=image)


def measure(source: Image, *, format: OutputFormat) -> Measured:
    """How much room `convert` will need, at most: zeroes that the source stores count as data."""
    # vdi has no measure of its own; it stores whole blocks of 1 MiB, as qcow2 with such clusters does.
    # raw measures as if it were full; with holes it takes what qcow2 takes, without the tables.
    cluster = "1M" if format is OutputFormat.VDI else "64k"
    argv = ["measure", "--output=json", "-O", "qcow2", "-o", f"cluster_size={cluster}", *_named(source)]
    answer = json.loads(_run(argv).stdout)
    return Measured(required_bytes=answer["required"])


def virtual_size_bytes(image: Image) -> int:
    answer: dict[str, Any] = json.loads(_run(["info", "--output=json", *_named(image)]).stdout)
    return int(answer["virtual-size"])


def same_content(first: Image, second: Image) -> bool:
    """Whether a guest would read the same bytes from both."""
    argv = ["compare", "-q", *_format(first), *_format(second, "-F"), _name(first), _name(second)]
    completed = _run(argv, accept=(0, 1))
    return completed.status == 0


def _name(image: Image) -> str:
    return image.text if isinstance(image, BlockNode) else str(image.path)


def _format(image: Image, flag: str = "-f") -> list[str]:
    return [] if isinstance(image, BlockNode) else [flag, image.format]


def _named(image: Image) -> list[str]:
    return [*_format(image), _name(image)]


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}  # its messages are read here


def _run(argv: list[str], *, output: Path | None = None, accept: tuple[int, ...] = (0,)) -> Completed:
    completed = run(["qemu-img", *argv], env=_environment(), check=False)
    if completed.status not in accept:
        raise _translated(ToolFailed(["qemu-img", *argv], completed.status, completed.stderr), output)
    return completed


def _fractions(process: Process) -> Iterator[float | None]:
    """How much is done, told at least every 0.1 s (None: nothing new), until the output ends."""
    stream = process.stdout
    while True:
        if not select.select([stream], [], [], _POLL_S)[0]:
            yield None
            continue
        chunk = os.read(stream.fileno(), 4096)
        if not chunk:
            return
        found = _PROGRESS.findall(chunk)
        yield float(found[-1]) / 100 if found else None


def _translated(failed: ToolFailed, output: Path | None) -> ToolFailed | OutputError:
    if output is None:
        return failed
    for sign, number in _SIGNS.items():
        if sign in failed.stderr and (number == errno.ENOSPC or str(output) in failed.stderr):
            return output_error(output, number, sign)
    return failed
