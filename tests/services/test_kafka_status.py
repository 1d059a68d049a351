"""`k2 status` on Kafka: offsets of the cluster, floors of the lake, states of the changelogs, workers of the group."""

from k2app.cli.ending import NOT_NOW
from k2app.stream.kafka_view import LAST_ROWS, KafkaView
from tests.pipeline.homes import counting, trades, wait_until
from tests.pipeline.operate.commands import k2, k2_json
from tests.services import servers
from tests.services.kafka_homes import MarketHome, cluster_at, delete_before


def of_trades(home: MarketHome, status: dict) -> dict[str, dict[int, object]]:
    """Each figure of the home's trades, by partition."""
    parts = [part for part in status["partitions"] if part["topic"] == home.topic]
    return {name: {part["partition"]: part[name] for part in parts} for name in parts[0]}


def test_what_is_in_the_lake_and_what_is_not(home):
    """Log start and end, floor, lag in rows and seconds, states: before, between and after two flushes."""
    home.publish(trades(counting(3, 10)))
    ends = home.ends()
    first = k2_json(home, "status")
    assert (0, {"running": False, "pid": None}) == (first["workers"], first["worker"])
    before = of_trades(home, first)
    none = dict.fromkeys(ends, 0)
    assert (none, ends, none, ends) == tuple(before[name] for name in ("start", "end", "floor", "lag_rows"))
    assert {"none"} == set(before["state"].values())
    home.drain()
    home.publish(trades(counting(3, 5, first=11)))
    between = k2_json(home, "status")
    parts = of_trades(home, between)
    assert ends == parts["floor"]
    assert {p: end - ends[p] for p, end in home.ends().items()} == parts["lag_rows"]
    assert {p: 0 < rows for p, rows in parts["lag_rows"].items()} == {
        p: 0 < age < 600 for p, age in parts["lag_s"].items()
    }
    assert {p: "current" if end else "none" for p, end in ends.items()} == parts["state"]
    assert 15 == between["lag_rows"]
    home.drain()
    after = k2_json(home, "status")
    assert 0 == after["lag_rows"]
    assert home.ends() == of_trades(home, after)["floor"]
    assert (None, home.opened.log_id) == (after["space"]["log_bytes"], after["log_id"])


def test_beside_a_worker(home):
    """Workers are counted, and not disturbed by being looked at; the page says it in words."""
    home.publish(trades(counting(3, 10)))
    assert "no worker is running · 30 rows are not in the lake yet" in k2(home, "status")
    with home.worker(K2_FLUSH_INTERVAL_S="0.2") as worker:
        wait_until(lambda: home.committed_rows() == 30, "the first flush")
        page = k2(home, "status")
        assert "1 worker is running · everything is in the lake" in page
        assert "log on Kafka" in page
        worker.stop()


def test_what_retention_took_is_not_counted(home):
    """A log that no longer begins at 0: its start is shown, and the age of what waits is that of the first kept."""
    home.publish(trades(counting(1, 10)))
    (partition,) = [p for p, end in home.ends().items() if end]
    delete_before(home.settings.log_url, home.tps()[partition], 4)
    parts = of_trades(home, k2_json(home, "status"))
    assert (4, 10) == (parts["start"][partition], parts["end"][partition])
    assert parts["lag_s"][partition] > 0


def test_newest_value_of_a_key_is_found_from_the_end(home, kafka_url):
    """However far back it is; a key or topic that is not there has none."""
    old = [(b"a", b"1"), (b"b", None), (b"a", b"2")]
    home.publish_raw([*old, *[(b"c", b"3")] * (LAST_ROWS + 1)])
    view = KafkaView(cluster_at(kafka_url))
    try:
        found = [view.newest(home.topic, 0, key) for key in (b"a", b"c", b"d")]
        assert [b"2", b"3", None] == found
        assert old == list(view.records(home.topic, 0))[:3]
        assert (None, []) == (view.newest("no-such-topic", 0, b"a"), list(view.records("no-such-topic", 0)))
    finally:
        view.close()


def test_cluster_that_does_not_answer_is_named(home):
    """One sentence, which says where Kafka was looked for."""
    _ = home.opened
    url = f"kafka://127.0.0.1:{servers.free_port()}"
    assert f"Kafka at {url} does not answer" in k2(home, "status", status=NOT_NOW, K2_LOG_URL=url)
