"""`python -m tests.e2e.zoo [GLOB]`: every row, two at a time, resumable.

zoo.json keeps each row's verdict and seconds with the hash of the source tree and the guest it was
won with; a row that passed with the same hash is not run again.
"""

import argparse
import fnmatch
import hashlib
import json
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.e2e import kill_rows, rows, undo_rows
from tests.e2e.kill_rows import CancelRow, KillRow
from tests.e2e.rows import Outcome
from tests.e2e.undo_rows import UndoRow
from tests.guests.linux_catalog import MACHINES
from tests.guests.linux_disk import entry_name

Row = rows.Row | KillRow | CancelRow | UndoRow

ALL_ROWS: tuple[Row, ...] = (*rows.ROWS, *kill_rows.ROWS, *undo_rows.ROWS)
ROOT = Path(__file__).parents[2]
VERDICTS = ROOT / "zoo.json"
_lock = threading.Lock()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.e2e.zoo")
    parser.add_argument("rows", nargs="?", default="*", help='a glob of row names ("bios-*/virtio-blk")')
    parser.add_argument("--at-once", type=int, default=2)
    args = parser.parse_args()
    chosen = [row for row in ALL_ROWS if fnmatch.fnmatchcase(row.name, args.rows)]
    if not chosen:
        print(f'no row matches "{args.rows}"; there are: {", ".join(row.name for row in ALL_ROWS)}')
        return 2
    source = source_hash()
    with ThreadPoolExecutor(max_workers=args.at_once) as pool:
        for future in as_completed([pool.submit(_verdict, row, source) for row in chosen]):
            future.result()
    return _print_table(chosen)


def source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _verdict(row: Row, source: str) -> None:
    guest = entry_name(MACHINES[row.guest])
    known = _read().get(row.name, {})
    if known.get("verdict") == "passed" and (known["source"], known["guest"]) == (source, guest):
        print(f"{row.name}: passed before with this source", flush=True)
        return
    folder = Path(tempfile.mkdtemp(prefix="zoo-"))
    print(f"{row.name}: started in {folder}", flush=True)
    outcome = row.run(folder)
    if not outcome.faults:
        shutil.rmtree(folder)  # the evidence of a failure stays
    _write(row, outcome, source, guest)
    print(f"{row.name}: {'; '.join(outcome.faults) or 'passed'} ({outcome.seconds:.0f} s)", flush=True)


def _read() -> dict[str, dict]:
    return json.loads(VERDICTS.read_text()) if VERDICTS.exists() else {}


def _write(row: Row, outcome: Outcome, source: str, guest: str) -> None:
    with _lock:
        verdicts = _read()
        verdicts[row.name] = {
            "verdict": "failed" if outcome.faults else "passed",
            "seconds": round(outcome.seconds, 1),
            "faults": list(outcome.faults),
            "source": source,
            "guest": guest,
        }
        scratch = VERDICTS.with_suffix(".part")
        scratch.write_text(json.dumps(verdicts, indent=1, sort_keys=True) + "\n")
        scratch.replace(VERDICTS)


def _print_table(chosen: list[Row]) -> int:
    verdicts = _read()
    for row in chosen:
        known = verdicts[row.name]
        print(
            f"{row.name:<28} {known['verdict']:<7} {known['seconds']:>6.0f} s  {'; '.join(known['faults'])}"
        )
    passed = sum(verdicts[row.name]["verdict"] == "passed" for row in chosen)
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
