"""`make bench`: the figures this product promises, measured side by side on this machine.

Prints a table (what, measured, limit) and exits 1 when one is missed. Timings are noisy, so times are
only ever given as ratios of runs made one after the other; `--rounds` repeats each pair and takes the
median ratio.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.guests.catalog import GUESTS
from tests.guests.disk import build

COMMAND = [str(Path(sys.executable).parent / "vmdk2kvm")]
V2V_ENV = {**os.environ, "LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
GIB = 1024**3
MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    what: str
    measured: float
    limit: float | None
    unit: str = "x"
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.limit is None or self.measured <= self.limit


def cached_guest(name: str) -> Path:
    return build(GUESTS[name])


@contextmanager
def work_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vmdk2kvm-bench-", dir="/var/tmp") as folder:
        yield Path(folder)


def timed(run: Callable[[], object]) -> float:
    started = time.monotonic()
    run()
    return time.monotonic() - started


def migrate(disk: Path, output: Path, *flags: str) -> float:
    """Seconds of a whole migration without the boot test."""
    argv = [*COMMAND, "local", "--vmdk", str(disk), "--output-dir", str(output), *flags]
    return timed(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL))


@dataclass(frozen=True, slots=True, kw_only=True)
class V2vRun:
    seconds: float
    seconds_without_trim: float
    exact: bool  # False: the trim phase was taken off by virt-v2v's own clock


def virt_v2v(disk: Path, output: Path) -> V2vRun:
    """virt-v2v on the same disk. A conversion that it refuses at the end still took its time."""
    output.mkdir(parents=True, exist_ok=True)
    argv = ["virt-v2v", "-i", "disk", str(disk), "-o", "local", "-os", str(output), "-of", "qcow2"]
    has_flag = "--no-fstrim" in subprocess.run(["virt-v2v", "--help"], capture_output=True, text=True).stdout
    started = time.monotonic()
    result = subprocess.run(argv, env=V2V_ENV, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    if has_flag:
        no_trim = timed(
            lambda: subprocess.run([*argv, "--no-fstrim"], env=V2V_ENV, check=True, capture_output=True)
        )
        return V2vRun(seconds=seconds, seconds_without_trim=no_trim, exact=True)
    return V2vRun(seconds=seconds, seconds_without_trim=seconds - trim_seconds(result.stdout), exact=False)


def trim_seconds(output: str) -> float:
    """How long virt-v2v's trim took, by the times in its own progress lines ("[  75.6] Mapping …")."""
    steps = [(float(at), text) for at, text in re.findall(r"^\[ *([\d.]+)\] (.*)$", output, re.M)]
    for (at, text), (then, _) in itertools.pairwise(steps):
        if "avoid copying unused" in text:
            return then - at
    raise SystemExit("virt-v2v's output names no trim phase")


def migration_rows(rounds: int) -> Iterator[Row]:
    broken, ready = cached_guest("bios-ext4"), cached_guest("bios-ext4-virtio")
    whole, no_trim, already = [], [], []
    exact = True
    for _ in range(rounds):
        with work_folder() as folder:
            theirs = virt_v2v(broken, folder / "v2v")
            shutil.rmtree(folder / "v2v")
            ours = migrate(broken, folder / "ours")
            whole.append(ours / theirs.seconds)
            no_trim.append(ours / theirs.seconds_without_trim)
            exact = theirs.exact
            theirs = virt_v2v(ready, folder / "v2v-ready")
            already.append(migrate(ready, folder / "ready") / theirs.seconds)
    note = "" if exact else "virt-v2v has no --no-fstrim here: its trim phase subtracted by its own clock"
    yield Row(what="whole migration / virt-v2v -i disk", measured=statistics.median(whole), limit=0.5)
    yield Row(
        what="whole migration / virt-v2v --no-fstrim",
        measured=statistics.median(no_trim),
        limit=None,
        note=note,
    )
    yield Row(what="guest that is already right / virt-v2v", measured=statistics.median(already), limit=0.15)


def convert_row(rounds: int) -> Row:
    """CONVERT alone, by the stage's own seconds, on a disk with 3 GiB of incompressible data."""
    ratios = []
    with work_folder() as folder:
        disk = data_disk(folder / "data.vmdk", 3 * GIB)
        for number in range(rounds):
            plain = timed(
                lambda: subprocess.run(
                    [
                        "qemu-img",
                        "convert",
                        "-f",
                        "vmdk",
                        "-O",
                        "qcow2",
                        str(disk),
                        str(folder / "plain.qcow2"),
                    ],
                    check=True,
                )
            )
            (folder / "plain.qcow2").unlink()
            output = folder / f"ours{number}"
            migrate(disk, output, "--stages", "fetch", "--stages", "flatten", "--stages", "convert")
            report = json.loads((output / "data" / "report.json").read_text())
            ours = next(stage["seconds"] for stage in report["stages"] if stage["name"] == "convert")
            shutil.rmtree(output)
            ratios.append(ours / plain)
    return Row(what="CONVERT / qemu-img convert to qcow2", measured=statistics.median(ratios), limit=1.1)


def data_disk(path: Path, data_bytes: int, virtual_bytes: int | None = None) -> Path:
    raw = path.with_suffix(".raw")
    with raw.open("wb") as file, Path("/dev/urandom").open("rb") as random:
        for _ in range(data_bytes // MIB):
            file.write(random.read(MIB))
        file.truncate(virtual_bytes or data_bytes)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", str(raw), str(path)], check=True)
    raw.unlink()
    return path


def memory_rows() -> Iterator[Row]:
    stages = ("--stages", "fetch", "--stages", "flatten", "--stages", "convert")
    with work_folder() as folder:
        for size in (3, 300):
            disk = data_disk(folder / f"sparse{size}.vmdk", 256 * MIB, size * GIB)
            peak = peak_memory([*COMMAND, "local", "--vmdk", str(disk), "--output-dir", str(folder), *stages])
            yield Row(
                what=f"peak memory, {size} GiB sparse disk", measured=peak / MIB, limit=150, unit=" MiB"
            )
        guest = cached_guest("bios-ext4")
        peak = peak_memory([*COMMAND, "local", "--vmdk", str(guest), "--output-dir", str(folder / "guest")])
        yield Row(what="peak memory, whole migration", measured=peak / MIB, limit=150, unit=" MiB")


def peak_memory(argv: list[str]) -> int:
    """VmHWM of our own process, in bytes, read until it ends."""
    peak = 0
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, high_water(process.pid))
            time.sleep(0.05)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return peak


def high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
    return int(found[1]) * 1024 if found else 0


def scratch_row() -> Row:
    """The most the hidden folder ever holds, against what the source holds."""
    guest = cached_guest("bios-ext4")
    peak = 0
    with work_folder() as folder:
        argv = [*COMMAND, "local", "--vmdk", str(guest), "--output-dir", str(folder)]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peak = max(peak, sum(allocated(path) for path in folder.glob("*/.vmdk2kvm/**/*")))
                time.sleep(0.2)
    if process.returncode != 0:
        raise SystemExit(f"the migration ended with {process.returncode}")
    return Row(
        what="scratch beside the output / allocated data",
        measured=100 * peak / allocated(guest),
        limit=5,
        unit=" %",
    )


def allocated(path: Path) -> int:
    try:
        stat = path.lstat()
    except FileNotFoundError:
        return 0
    return stat.st_blocks * 512


def help_row() -> Row:
    seconds = [
        timed(lambda: subprocess.run([*COMMAND, "--help"], stdout=subprocess.DEVNULL)) for _ in range(10)
    ]
    return Row(what="vmdk2kvm --help", measured=statistics.median(seconds), limit=0.3, unit=" s")


def measured_rows(rounds: int) -> Iterator[Row]:
    yield help_row()
    yield from memory_rows()
    yield scratch_row()
    yield convert_row(max(3, rounds))
    yield from migration_rows(rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each pair of runs is measured")
    rows = []
    for row in measured_rows(parser.parse_args().rounds):
        limit = "" if row.limit is None else f"at most {row.limit:g}{row.unit}"
        verdict = "ok" if row.holds else "MISSED"
        print(f"{row.what:44} {row.measured:8.3f}{row.unit:4} {limit:18} {verdict:6} {row.note}", flush=True)
        rows.append(row)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
