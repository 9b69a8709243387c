"""One row per claim: each of the four guests on one bus, alternating. The zoo runs them all."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.e2e.rows import ROWS, Outcome, Row, run_row

CLAIMS = [row for row in ROWS if row.claim]

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Row, Future[Outcome]]]:
    """All rows are started, two at a time; each test waits for its own."""
    pool = ThreadPoolExecutor(max_workers=2)
    yield {row: pool.submit(run_row, row, tmp_path_factory.mktemp(row.guest)) for row in CLAIMS}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: row.name)
def test_a_real_guest_boots_after_its_migration(row: Row, outcomes: dict[Row, Future[Outcome]]) -> None:
    assert outcomes[row].result().faults == ()
