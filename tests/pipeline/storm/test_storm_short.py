"""The storm of `make crash`, short: ten kills."""

import pytest

from tests.storm.crash import run
from tests.storm.storm import STEPS


@pytest.mark.parametrize("seed", [11])
def test_worker_killed_ten_times_while_rows_arrive(tmp_path, seed):
    """Whatever each kill hit, the lake is that of a worker that nobody killed."""
    outcome = run(tmp_path, rows=10_000, kills=10, seed=seed)
    assert [] == outcome.differences
    assert 10 == outcome.tally.kills
    assert set(outcome.tally.counted) <= set(STEPS.values())
    assert outcome.dead_letters >= 10
