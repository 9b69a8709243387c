"""One row per claim: each of the four guests on one bus, alternating. The zoo runs them all."""

from pathlib import Path

import pytest

from tests.e2e.rows import ROWS, run_row

CLAIMS = [row for row in ROWS if row.claim]


@pytest.mark.appliance
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: row.name)
def test_a_real_guest_boots_after_its_migration(row, tmp_path: Path) -> None:
    assert run_row(row, tmp_path).faults == ()
