"""What the product must do with real guests: one row, one migration, one boot.

A row is data; `run_row` migrates its guest with the real command and judges the report alone.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.guests.catalog import FOUR, GUESTS
from tests.guests.disk import build
from tests.guests.proof import COMMAND, TIMEOUT_S, Proof, failed_units, prove

BUSES = ("virtio-blk", "virtio-scsi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    guest: str
    bus: str
    claim: bool  # also part of `make test`

    @property
    def name(self) -> str:
        return f"{self.guest}/{self.bus}"

    def run(self, folder: Path) -> "Outcome":
        return run_row(self, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    seconds: float
    faults: tuple[str, ...]  # empty: the row passed


ROWS = tuple(
    Row(guest=guest.name, bus=bus, claim=(index + turn) % 2 == 0)
    for index, guest in enumerate(FOUR)
    for turn, bus in enumerate(BUSES)
)


def run_row(row: Row, folder: Path) -> Outcome:
    """Migrate and boot; `folder` keeps the command's output and the evidence."""
    disk, proof = build(GUESTS[row.guest]), prove(GUESTS[row.guest])
    started = time.monotonic()
    status = _migrate(row, disk, folder)
    seconds = time.monotonic() - started
    report = folder / row.guest / "report.json"
    if not report.is_file():
        last = (folder / "output.log").read_text().strip().rpartition("\n")[2]
        return Outcome(seconds=seconds, faults=(f"no report, exit status {status}: {last}",))
    faults = [
        *([f"exit status {status}"] if status else []),
        *_faults(row, proof, json.loads(report.read_text())),
    ]
    return Outcome(seconds=seconds, faults=tuple(faults))


def _migrate(row: Row, disk: Path, folder: Path) -> int:
    argv = [
        COMMAND, "local", "--vmdk", disk, "--output-dir", folder,
        "--qemu-test", "--boot-bus", row.bus,
    ]  # fmt: skip
    with (folder / "output.log").open("wb") as log:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=TIMEOUT_S, check=False
        ).returncode


def _faults(row: Row, proof: Proof, report: dict) -> Iterator[str]:
    """The witness, not the exit status, says that every fstab entry is active: its verdict is
    "booted" only then. Units that failed on VMware too are not the migration's."""
    boot = report["boot"]
    if boot["verdict"] != "booted":
        yield f"{boot['verdict']}: {boot['reason']}"
    if boot["bus"] != row.bus:
        yield f"booted on {boot['bus']}"
    if boot["firmware"] != GUESTS[row.guest].firmware:
        yield f"booted by {boot['firmware']}"
    yield from (f"{unit} failed" for unit in sorted(failed_units(boot) - proof.failed_units))
