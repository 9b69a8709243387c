"""Every case, taken back: the tree is the one before, and two plans of it are one.

Paths that programs of the guest wrote, as the journal says, are left out.
"""

import json
import os as host
import subprocess
import sys
from pathlib import Path

from tests.cases.test_cases import CASES, every_case, fixes_of, load_guest, load_os
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.guest.memory import Folder, MemoryGuest, Node
from vmdk2kvm.model.plan import Plan

ROOT = Path(__file__).parent.parent.parent


def planned(case: Path) -> tuple[MemoryGuest, Plan]:
    expected, fields = (json.loads((case / name).read_text()) for name in ("plan.json", "os.json"))
    guest = load_guest(case / "before", fields)
    guest.make_folder("/var/lib")
    return guest, engine.plan(fixes_of(case, expected.get("options", {})), guest, load_os(fields, guest))


def without(tree: dict[str, Node], paths: tuple[str, ...]) -> dict[str, Node]:
    """`tree` without what programs wrote and the folders they made for it."""
    above = {path[:at] for path in paths for at, character in enumerate(path) if character == "/"}
    return {
        path: node
        for path, node in tree.items()
        if path not in paths and not (isinstance(node, Folder) and path in above)
    }


@every_case
def test_a_case_taken_back_is_as_it_was(case: Path) -> None:
    guest, plan = planned(case)
    before = guest.snapshot()
    engine.apply(plan, guest, backup=True)
    done = undo(guest)
    assert done.findings == ()
    assert without(guest.snapshot(), done.left) == without(before, done.left)
    assert undo(guest).plans == ()


def test_plans_are_identical_in_every_process() -> None:
    """Python walks sets in another order in each process; a plan must not."""
    script = f"import {__name__} as it; it.show_plans()"
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**host.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=100,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
    assert told.pop().count(b"\n") == len(CASES)


def show_plans() -> None:
    for case in CASES:
        print(case.name, planned(case)[1].id)
