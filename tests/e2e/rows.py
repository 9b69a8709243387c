"""What the product must do with real guests: one row, one migration, one boot.

A row is data; `run_row` migrates its guest with the real command and judges the report alone.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.guests.catalog import FOUR, Guest
from tests.guests.linux_catalog import LINUX, MACHINES, LinuxGuest
from tests.guests.linux_disk import disks
from tests.guests.proof import (
    COMMAND,
    TIMEOUT_S,
    Proof,
    environment,
    failed_units,
    lost_addresses,
    prove,
    unlocking,
)

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
) + tuple(Row(guest=guest.name, bus=bus, claim=False) for guest in LINUX for bus in BUSES)


def run_row(row: Row, folder: Path) -> Outcome:
    """Migrate and boot; `folder` keeps the command's output and the evidence."""
    vmdks, proof = disks(MACHINES[row.guest]), prove(MACHINES[row.guest])
    started = time.monotonic()
    status = _migrate(row, vmdks, folder)
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


def _migrate(row: Row, vmdks: tuple[Path, ...], folder: Path) -> int:
    guest = MACHINES[row.guest]
    sources = [word for vmdk in vmdks for word in ("--vmdk", vmdk)]
    argv = [
        COMMAND, "local", *sources, "--output-dir", folder, *unlocking(guest), *_cards(guest),
        "--qemu-test", "--boot-bus", row.bus,
    ]  # fmt: skip
    with (folder / "output.log").open("wb") as log:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=TIMEOUT_S, check=False,
            env=environment(guest),
        ).returncode  # fmt: skip


def _cards(guest: Guest | LinuxGuest) -> list[str]:
    """Where there is one card, its MAC says all."""
    cards = guest.cards if isinstance(guest, LinuxGuest) and guest.tells_cards else ()
    return [f"--nics={card.mac}" + (f",name={card.name}" if len(cards) > 1 else "") for card in cards]


def _faults(row: Row, proof: Proof, report: dict) -> Iterator[str]:
    """The witness, not the exit status, says that every fstab entry is active: its verdict is
    "booted" only then. Units that failed on VMware too are not the migration's."""
    boot = report["boot"]
    if boot["verdict"] != "booted":
        yield f"{boot['verdict']}: {boot['reason']}"
    if boot["bus"] != row.bus:
        yield f"booted on {boot['bus']}"
    if boot["firmware"] != MACHINES[row.guest].firmware:
        yield f"booted by {boot['firmware']}"
    yield from lost_addresses(MACHINES[row.guest], boot)
    yield from (f"{unit} failed" for unit in sorted(failed_units(boot) - proof.failed_units))
