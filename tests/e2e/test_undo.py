"""`vmdk2kvm undo` on a migrated real guest; the zoo takes every guest back."""

from pathlib import Path

import pytest

from tests.e2e.undo_rows import ROWS, UndoRow

CLAIMS = [row for row in ROWS if row.claim]

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: row.name)
def test_a_migrated_guest_taken_back_is_as_it_was(row: UndoRow, tmp_path: Path) -> None:
    assert row.run(tmp_path).faults == ()
    assert not (tmp_path / "out").exists()
