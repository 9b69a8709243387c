"""The only place that starts processes.

A child must not outlive us, even when we are killed with -9. Each child is started by a small
shell that holds the read end of a pipe whose write end only this process has: when we die, the
kernel closes it, the shell's watcher reads end-of-file and kills the child. PR_SET_PDEATHSIG is
not used because it fires when the *thread* that started the child ends.
"""

import logging
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vmdk2kvm.errors import ToolFailed, ToolMissing

log = logging.getLogger(__name__)

PIPE = subprocess.PIPE  # for `start(stdout=…)`: the output is then at `Process.stdout`

# The pipe comes as stdin: a POSIX shell can name no other descriptor over 9. The child reads nothing.
_TETHER = """
exec 9<&0 </dev/null
"$@" 9<&- &
child=$!
(read -r _ <&9; kill -KILL $child) >/dev/null 2>&1 &
watcher=$!
exec 9<&-
wait $child
status=$?
kill -KILL $watcher
exit $status
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    status: int
    stdout: str
    stderr: str


class Process:
    """A running child. `stop()` kills it at once; leaving `start()` does the same."""

    def __init__(self, popen: subprocess.Popen[bytes], tether: int) -> None:
        self._popen = popen
        self._tether: int | None = tether

    @property
    def stdout(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._popen.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit status; raises TimeoutError."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def stop(self) -> None:
        if self._tether is not None:
            os.close(self._tether)
            self._tether = None
        self._popen.wait()


@contextmanager
def start(
    argv: Sequence[str],
    *,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[Process]:
    """Start a tethered child; it is killed when the block ends. Raises ToolMissing."""
    if shutil.which(argv[0]) is None:
        raise ToolMissing(argv[0])
    log.debug("run %s", " ".join(argv))
    read_end, write_end = os.pipe()
    try:
        popen = subprocess.Popen(
            ["/bin/sh", "-c", _TETHER, "tether", *argv],
            stdin=read_end,
            stdout=stdout,
            stderr=stderr,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,  # a Ctrl-C is ours to handle, not the child's
        )
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    process = Process(popen, write_end)
    try:
        yield process
    finally:
        process.stop()
        if popen.stdout is not None:
            popen.stdout.close()


def run(
    argv: Sequence[str],
    *,
    timeout_s: float | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    on_output: Callable[[bytes], None] | None = None,
) -> Completed:
    """Run to the end and return both outputs. Raises ToolMissing, ToolFailed (with `check`), TimeoutError.

    `on_output` receives stdout as it comes (any chunking), for progress; `stdout` is then "".
    """
    with tempfile.TemporaryFile() as stderr, tempfile.TemporaryFile() as collected:
        piped = on_output is not None
        with start(argv, stdout=subprocess.PIPE if piped else collected, stderr=stderr, env=env) as process:
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            if on_output is not None:
                _read_until(process.stdout, deadline, on_output)
            status = process.wait(_left(deadline))
        result = Completed(status=status, stdout=_text(collected), stderr=_text(stderr))
    if result.stderr:
        log.debug("%s said: %s", argv[0], result.stderr.rstrip())
    if check and status != 0:
        raise ToolFailed(argv, status, result.stderr)
    return result


def _read_until(stream: IO[bytes], deadline: float | None, on_output: Callable[[bytes], None]) -> None:
    while select.select([stream], [], [], _left(deadline))[0]:
        chunk = os.read(stream.fileno(), 65536)
        if not chunk:
            return
        on_output(chunk)
    raise TimeoutError


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def find(program: str) -> Path | None:
    """Where a program is on PATH, None when it is not there."""
    path = shutil.which(program)
    return None if path is None else Path(path)
