"""Kafka as a log: topics, the publisher, the loader, brokers that go away."""

from contextlib import closing

import pyarrow as pa
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from faust.types import TP

from k2app.errors import OperatorError, TransientError
from k2app.lake.tables import Name
from k2app.settings import read_settings
from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.logs_by_url import open_log, worker_alive
from k2app.stream.partitioner import partition_of
from tests.pipeline.homes import counting, trades, wait_until
from tests.services import servers
from tests.services.kafka_homes import MarketHome, asked, cluster_at, new_exchange, read_all


def test_topics_are_made_once(home):
    """Set-up can be repeated; reference data is compacted, prices are not."""
    assert 3 == len([topic for topic in home.made_topics() if topic.endswith(home.exchange)])
    home.close()
    assert [] == home.made_topics()
    reference = home.topic.replace("trades", "reference_data")
    assert ["delete", "compact"] == [_policy(home, topic) for topic in (home.topic, reference)]


def _policy(home: MarketHome, topic: str) -> str:
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": ""})]
    (answer,) = asked(home.settings.log_url, lambda admin: admin.describe_configs(wanted))
    return answer.to_object()["resources"][0]["config_entries"][0]["config_value"]


def test_changed_partition_count_is_refused(home):
    """Keys would move to other partitions, and states with them."""
    log = home.opened
    with pytest.raises(
        OperatorError, match="has 2 partitions, the configuration says 3: a partition count never"
    ):
        log.create_topic(home.topic, 3)


def test_cluster_that_does_not_answer_is_named(tmp_path):
    """A wrong address is one sentence, not a stack trace; it may be right a moment later."""
    url = f"kafka://127.0.0.1:{servers.free_port()}"
    with pytest.raises(TransientError, match=f"Kafka at {url} does not answer"):
        open_log(read_settings(home=tmp_path, log={"url": url}))


def test_identity_is_the_clusters(home, kafka_url):
    """Offsets belong to a cluster: its id is the log's."""
    assert KafkaAdmin(cluster_at(kafka_url)).cluster_id() == home.opened.log_id == home.publisher.log_id


def test_published_rows_are_there_in_order(home):
    """Every key in the partition that Kafka's Java client would take, in the order of the rows, at the offsets told."""
    rows = counting(7, 3_000)
    sent = home.publish(trades(rows))
    again = home.publish(trades(counting(7, 10, first=3_001)))
    assert {p: (end, end + again[p][1] - again[p][0]) for p, (_, end) in sent.items()} == again
    for partition, (start, end) in sent.items():
        columns = read_all(home.settings.log_url, TP(home.topic, partition))[: end - start]
        keys = [s.encode() for s, _ in rows if partition_of(s.encode(), home.partitions) == partition]
        assert list(range(start, end)) == [offset for offset, _, _ in columns]
        assert keys == [key for _, key, _ in columns]


def test_empty_table_is_published_as_nothing(home):
    """A block without rows sends nothing."""
    assert {} == home.publish(trades([]))


def test_worker_is_noticed(home):
    """The loader can say whether anybody reads what it sends."""
    home.publish(trades(counting(1, 1)))
    assert not worker_alive(home.settings)
    with home.worker(K2_FLUSH_INTERVAL_S="0.1"):
        wait_until(lambda: home.committed_rows() == 1, "the worker at work")
        assert worker_alive(home.settings)


def test_file_is_loaded_and_waited_for(home, tmp_path):
    """`k2 load --wait` on Kafka ends when the worker has committed the rows; loaded again they are duplicates."""
    file = tmp_path / "trades.csv"
    lines = [
        f"S{i % 3},2026-01-05T00:{i // 60:02}:{i % 60:02}Z,{100 + i},1,{i // 3 + 1}" for i in range(3_000)
    ]
    file.write_text("symbol,timestamp,price,quantity,sequence\n" + "\n".join(lines) + "\n")
    command = ["load", str(file), "--exchange", home.exchange, "--type", "trades", "--wait"]
    _ = home.opened
    with home.worker(K2_FLUSH_INTERVAL_S="0.1") as worker:
        assert "first 3, ok 2,997" in home.k2(*command)
        assert "duplicate 3,000" in home.k2(*command)
        worker.stop()
    assert 6_000 == len(home.rows(Name.TRADES))


def test_worker_outlives_a_broker(tmp_path, registry_url):
    """A broker that is stopped and started again, with its log, costs time and no rows."""
    with servers.kafka(tmp_path / "kafka") as url:
        home = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=url, K2_REGISTRY_URL=registry_url)
        with home.worker(K2_FLUSH_INTERVAL_S="0.2") as worker, closing(home):
            home.publish(trades(counting(3, 100)))
            wait_until(lambda: home.committed_rows() == 300, "the first rows in the lake")
            home.close()
            servers.stop_kafka(tmp_path / "kafka")
            with servers.kafka_again(tmp_path / "kafka"):
                home.publish(trades(counting(3, 100, first=101)))
                wait_until(lambda: home.committed_rows() == 600, "the rest in the lake")
                worker.stop()
                home.close()
    assert {"first": 3, "ok": 597} == flags(home)


def flags(home: MarketHome) -> dict[str, int]:
    found = pa.array([r["sequence_flag"] for r in home.rows(Name.TRADES)]).value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in found}
