"""The storm of `make storm`, short: six blows on three workers of one Kafka."""

from contextlib import closing

from rich.console import Console

from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.storm import BLOWS, PARTITIONS, run, show

BLOCK_ROWS = 100
"""Rows published at once: fewer than on the long form, since other tests run beside."""


def test_workers_die_and_come_back_as_zombies_while_rows_arrive(tmp_path, kafka_url, registry_url):
    """Whatever each blow hit, the lake is that of a worker that nobody disturbed; nobody did anything."""
    home = MarketHome(
        tmp_path / "home",
        new_exchange(),
        partitions=PARTITIONS,
        K2_LOG_URL=kafka_url,
        K2_REGISTRY_URL=registry_url,
    )
    with closing(home):
        tally = run(home, blows=len(BLOWS), seed=11, block_rows=BLOCK_ROWS)
    show(Console(highlight=False), tally)
    assert [] == tally.differences
    assert {"killed": 3, "zombie": 2, "left": 1} == tally.blows
