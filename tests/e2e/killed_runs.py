"""A run that is killed with -9, and then the same command: what must be as if nothing had happened.

Moments are drawn from a seed: for each stage some fraction of the time that stage took in a run that
was left alone. One more kill comes between fsync and rename, by strace, at the rename itself.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import guestfs

COMMAND = str(Path(sys.executable).parent / "vmdk2kvm")
STAGES = ("fetch", "flatten", "inspect", "fix", "convert", "validate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    stage: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    stage: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What must not differ: the files of the VM's folder, and every file of the guest."""

    files: tuple[str, ...]
    guest: tuple[str, ...]
    verdict: str


def moments(seed: int, count: int) -> tuple[Moment, ...]:
    """At least two per stage while `count` allows it."""
    draw = random.Random(seed)
    stages = [STAGES[number % len(STAGES)] for number in range(count)]
    return tuple(Moment(stage=stage, fraction=draw.random()) for stage in stages)


def argv(disk: Path, output: Path, *flags: str) -> list[str]:
    return [
        COMMAND,
        "--json",
        "local",
        "--vmdk",
        str(disk),
        "--output-dir",
        str(output),
        *flags,
    ]


def environment(scratch: Path) -> dict[str, str]:
    scratch.mkdir(exist_ok=True)
    # libguestfs keeps its appliance for later runs: that cache is no temporary file
    return {**os.environ, "TMPDIR": str(scratch), "LIBGUESTFS_CACHEDIR": "/var/tmp"}


def run_whole(command: list[str], scratch: Path) -> dict:
    """Run to the end and return the report."""
    result = subprocess.run(command, capture_output=True, text=True, env=environment(scratch))
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


def kill_at(command: list[str], moment: Moment, seconds: dict[str, float], scratch: Path) -> str:
    """Start, wait until the stage has run for its fraction, kill -9; the stage it was in by then."""
    with _started(command, scratch) as process:
        return _signal_at(process, moment, seconds, lambda: os.kill(process.pid, signal.SIGKILL))


def interrupt_at(
    command: list[str], moment: Moment, seconds: dict[str, float], scratch: Path, *, by_terminal: bool
) -> Ended:
    """The same with Ctrl-C. A terminal sends it to the children, too; `kill -INT` to the command alone."""
    send = os.killpg if by_terminal else os.kill
    # a zoo in the background ignores the signal, and its children inherit that
    hearing = ["env", "--default-signal=INT", *command]
    with _started(hearing, scratch, process_group=0) as process:
        stage = _signal_at(process, moment, seconds, lambda: send(process.pid, signal.SIGINT))
    return Ended(stage=stage, status=process.returncode)


def _started(command: list[str], scratch: Path, process_group: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(scratch),
        process_group=process_group,
    )


def _signal_at(
    process: subprocess.Popen[str], moment: Moment, seconds: dict[str, float], send: Callable[[], None]
) -> str:
    """Returns when the process has closed its stderr."""
    stage = ""
    assert process.stderr is not None
    for line in process.stderr:
        stage = started_stage(line) or stage
        if stage == moment.stage:
            time.sleep(moment.fraction * seconds[stage])
            break
    send()
    for line in process.stderr:
        stage = started_stage(line) or stage
    return stage


def started_stage(line: str) -> str | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event["stage"] if event.get("event") == "stage-started" else None


def kill_at_rename(command: list[str], final: Path, scratch: Path) -> None:
    """The disk is whole and synced as .part; the process dies on entering the rename to its name."""
    calls, part = "rename,renameat,renameat2", final.with_name(final.name + ".part")
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(part), "-e", f"trace={calls}"),
            *("-e", f"inject={calls}:error=EIO:signal=SIGKILL", *command),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(scratch),
    )
    assert not final.exists(), "the rename happened before the kill"
    assert part.exists(), "the kill came before the copy was whole"


def wait_until_alone(folder: Path, timeout_s: float = 10.0) -> None:
    """No process of the killed run is left; libguestfs' own watchdog takes up to three seconds."""
    deadline = time.monotonic() + timeout_s
    while left := list(processes_on(folder)):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.2)


def processes_on(folder: Path) -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line and path.parent.name != str(os.getpid()):
            yield line


def left_behind(scratch: Path, before: frozenset[str] = frozenset(), patience_s: float = 30.0) -> list[str]:
    """Temporary files nobody uses any more, which were not there `before`.

    Another row may have been killed just now: what its next run sweeps away within `patience_s` is its own.
    """
    deadline = time.monotonic() + patience_s
    while (left := forgotten(scratch) - before) and time.monotonic() < deadline:
        time.sleep(1)
    return sorted(left)


def forgotten(scratch: Path) -> frozenset[str]:
    """What no process names: all in the run's TMPDIR, and libguestfs' sockets in /tmp."""
    running = list(processes_on(Path("/tmp/libguestfs")))
    sockets = [str(path) for path in Path("/tmp").glob("libguestfs*")]
    dead = (path for path in sockets if not any(path in line for line in running))
    return frozenset((*map(str, scratch.rglob("*")), *dead))


def outcome(report: dict, output: Path) -> Outcome:
    folder = output / report["vm"]
    disks = [Path(disk["path"]) for disk in report["disks"]]
    return Outcome(
        files=tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))),
        guest=manifest(disks),
        verdict=report["boot"]["verdict"],
    )


# Logs of the boot that built the guest do not change; what libguestfs' mount itself touches has no content.
_LIST = r"""
cd /sysroot && find . -xdev -printf '%p %y %m %U:%G %l\n' | sort
find . -xdev -type f -print0 | sort -z | xargs -0 cksum
"""


def manifest(disks: list[Path]) -> tuple[str, ...]:
    """Every path of every file system (type, mode, owner, link target) and the sum of every file."""
    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend("direct")
    handle.set_backend_setting("force_tcg", "1")
    for disk in disks:
        handle.add_drive(str(disk), format=disk.suffix[1:], readonly=True)
    handle.launch()
    lines = []
    for device, kind in sorted(handle.list_filesystems().items()):
        if kind in {"swap", "unknown"}:
            continue
        handle.mount_ro(device, "/")
        lines += [f"{device} {line}" for line in handle.debug("sh", [_LIST]).split("\n")]
        handle.umount_all()
    handle.close()
    assert len(lines) > 100
    return tuple(lines)
