"""Rows of runs killed with -9: twenty seeded moments and one between fsync and rename.

The guest's repair is without a rebuild, and only the rows that kill a boot test make one, so that a row
takes a minute; two more rows kill a whole repair, its rebuild included. Last come runs that are
cancelled with Ctrl-C while the guest's own tool rebuilds its initramfs.
"""

import functools
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import killed_runs as runs
from tests.e2e.killed_runs import Moment, Outcome
from tests.e2e.rows import Outcome as RowOutcome
from tests.guests.catalog import GUESTS
from tests.guests.disk import build

GUEST = "bios-ext4"
QUICK = ("--no-regen-initramfs", "--checksum")
BOOTED = (*QUICK, "--qemu-test", "--boot-bus", "pvscsi")
WHOLE = ("--checksum",)
SEED = 20261124
COUNT = 20
IN_REBUILD = Moment(stage="fix", fraction=0.5)  # the rebuild is most of that stage
_ATTEMPTS = 8
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    outcome: Outcome
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class KillRow:
    """`moment` None: at the rename of the finished copy."""

    number: int
    moment: Moment | None
    flags: tuple[str, ...] = QUICK
    guest: str = GUEST
    claim: bool = False

    @property
    def name(self) -> str:
        where = self.moment.stage if self.moment else "rename"
        return f"killed/{self.number:02d}-{where}"

    def run(self, folder: Path) -> RowOutcome:
        started = time.monotonic()
        faults = tuple(self._faults(folder))
        return RowOutcome(seconds=time.monotonic() - started, faults=faults)

    def _faults(self, folder: Path) -> Iterator[str]:
        reference = reference_of(self.flags)
        output, scratch = folder / "out", folder / "tmp"
        before = runs.forgotten(scratch)
        command = runs.argv(build(GUESTS[self.guest]), output, *self.flags)
        if self.moment is None:
            runs.kill_at_rename(command, output / self.guest / f"{self.guest}-disk0.qcow2", scratch)
        elif not _killed_within(command, self.moment, reference.seconds, folder):
            yield f"the kill never fell into {self.moment.stage}"
        runs.wait_until_alone(folder)
        outcome = runs.outcome(runs.run_whole(command, scratch), output)
        runs.wait_until_alone(folder)
        yield from _differences(reference.outcome, outcome)
        yield from (f"left behind: {path}" for path in runs.left_behind(scratch, before))


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRow:
    """Ctrl-C in the middle of a rebuild: nothing is left but what the next run goes on from."""

    by_terminal: bool
    guest: str = GUEST
    claim: bool = False

    @property
    def name(self) -> str:
        return f"cancelled/{'terminal' if self.by_terminal else 'command'}"

    def run(self, folder: Path) -> RowOutcome:
        started = time.monotonic()
        faults = tuple(self._faults(folder))
        return RowOutcome(seconds=time.monotonic() - started, faults=faults)

    def _faults(self, folder: Path) -> Iterator[str]:
        reference = reference_of(WHOLE)
        output, scratch = folder / "out", folder / "tmp"
        command = runs.argv(build(GUESTS[self.guest]), output, *WHOLE)
        before = runs.forgotten(scratch)
        ended = runs.interrupt_at(
            command, IN_REBUILD, reference.seconds, scratch, by_terminal=self.by_terminal
        )
        if ended != runs.Ended(stage="fix", status=130):
            yield f"cancelled in {ended.stage} with status {ended.status}"
        runs.wait_until_alone(folder)
        left = runs.left_behind(scratch, before)
        left += map(str, (output / self.guest / ".vmdk2kvm/tmp").glob("*"))
        yield from (f"left behind: {path}" for path in left)
        outcome = runs.outcome(runs.run_whole(command, scratch), output)
        yield from _differences(reference.outcome, outcome)


def _killed_within(command: list[str], moment: Moment, seconds: dict[str, float], folder: Path) -> bool:
    """A stage of milliseconds may be over before the signal comes: try again, from the start, earlier."""
    fraction = moment.fraction
    for _ in range(_ATTEMPTS):
        earlier = Moment(stage=moment.stage, fraction=fraction)
        if runs.kill_at(command, earlier, seconds, folder / "tmp") == moment.stage:
            return True
        runs.wait_until_alone(folder)
        fraction /= 2
    return False


def _differences(wanted: Outcome, found: Outcome) -> Iterator[str]:
    if found.verdict != wanted.verdict:
        yield f"the boot test ended with {found.verdict}"
    for what, one, other in (
        ("file of the folder", wanted.files, found.files),
        ("line of the guest's manifest", wanted.guest, found.guest),
    ):
        yield from (f"{what} missing: {line}" for line in sorted(set(one) - set(other))[:5])
        yield from (f"{what} more: {line}" for line in sorted(set(other) - set(one))[:5])


def reference_of(flags: tuple[str, ...]) -> Reference:
    """The run that was left alone, once for all rows of this process."""
    with _lock:
        return _reference(flags)


@functools.cache
def _reference(flags: tuple[str, ...]) -> Reference:
    with tempfile.TemporaryDirectory(prefix="zoo-reference-", dir="/var/tmp") as name:
        folder = Path(name)
        command = runs.argv(build(GUESTS[GUEST]), folder / "out", *flags)
        report = runs.run_whole(command, folder / "tmp")
        seconds = {stage["name"]: stage["seconds"] for stage in report["stages"]}
        return Reference(outcome=runs.outcome(report, folder / "out"), seconds=seconds)


ROWS = (
    *(
        KillRow(number=number, moment=moment, flags=BOOTED if moment.stage == "validate" else QUICK)
        for number, moment in enumerate(runs.moments(SEED, COUNT), 1)
    ),
    KillRow(number=COUNT + 1, moment=None),
    KillRow(number=COUNT + 2, moment=Moment(stage="fix", fraction=0.3), flags=WHOLE),
    KillRow(number=COUNT + 3, moment=Moment(stage="fix", fraction=0.8), flags=WHOLE),
    CancelRow(by_terminal=True),
    CancelRow(by_terminal=False),
)
