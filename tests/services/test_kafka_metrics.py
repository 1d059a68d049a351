"""Metrics of workers that share topics on Kafka: what an embedded log does not have."""

import httpx
import pytest

from tests.pipeline.homes import counting, free_port, trades, wait_until
from tests.pipeline.metrics.scraped import Page
from tests.services.kafka_homes import MarketHome, new_exchange

PARTITIONS = 4

MOVE_S = 90.0
"""Deadline of a rebalance."""


@pytest.fixture
def shared(tmp_path, kafka_url, registry_url):
    """A home whose topics have partitions for two workers."""
    home = MarketHome(
        tmp_path / "home",
        new_exchange(),
        partitions=PARTITIONS,
        K2_LOG_URL=kafka_url,
        K2_REGISTRY_URL=registry_url,
        K2_FLUSH_INTERVAL_S="0.2",
        K2_METRICS_LOOK_S="0.5",
    )
    yield home
    home.close()


def page(port):
    """A worker's page; an empty one while it starts."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
    except httpx.TransportError:
        return Page("")
    return Page(answer.text if answer.status_code == httpx.codes.OK else "")


def partitions(shown, family):
    """Topic and partition of a family's series."""
    return {(dict(labels)["topic"], dict(labels)["partition"]) for labels in shown.values.get(family, {})}


def test_workers_tell_of_the_partitions_that_are_theirs(shared):
    """A rebalance is counted and timed, and what moves to another worker is told there, and here no more."""
    ports = free_port(), free_port()
    served = [{"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port)} for port in ports]
    shared.publish(trades(counting(20, 20)))
    with shared.worker(**served[0]) as first:
        wait_until(lambda: shared.committed_rows() == 400, "everything in the lake", MOVE_S)
        wait_until(lambda: page(ports[0]).total("k2_offset_commit_seconds") > 0, "offsets at the log", MOVE_S)
        alone = page(ports[0])
        every = partitions(alone, "k2_lag_records")
        with shared.worker("second", **served[1]) as second:
            wait_until(
                lambda: page(ports[1]).total("k2_assigned_partitions") > 0 < page(ports[0]).total("k2_ready"),
                "partitions of the second",
                MOVE_S,
            )
            wait_until(
                lambda: (
                    partitions(page(ports[0]), "k2_lag_records")
                    | partitions(page(ports[1]), "k2_lag_records")
                    == every
                    and not partitions(page(ports[0]), "k2_lag_records")
                    & partitions(page(ports[1]), "k2_lag_records")
                ),
                "each partition told of by one of them",
                MOVE_S,
            )
            shared.publish(trades(counting(20, 20, first=21)))
            wait_until(lambda: shared.committed_rows() == 800, "everything in the lake", MOVE_S)
            both = [page(port) for port in ports]
            second.stop()
        first.stop()
    assert both[0].total("k2_rebalances") > alone.total("k2_rebalances") > 0
    assert both[0].total("k2_rebalance_seconds") > alone.total("k2_rebalance_seconds") > 0
    for shown in both:
        held = partitions(shown, "k2_lag_records")
        assert 0 < len(held) < len(every)
        assert (
            held == partitions(shown, "k2_committed_offset") == partitions(shown, "k2_pending_write_records")
        )
        assert len(held) == shown.total("k2_assigned_partitions")
        assert 0 == shown.total("k2_offset_commit_failures")
