"""Kafka's fetched bytes as columns, held against aiokafka's own reader."""

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from k2app.errors import OperatorError
from k2app.stream.kafka_cluster import servers
from k2app.stream.kafka_records import Columns, read_fetched, to_batch

PLACE = TopicPartition("t", 0)

cells = st.none() | st.binary(max_size=12)
blocks = st.lists(
    st.tuples(
        st.lists(st.tuples(cells, cells), min_size=1, max_size=6),
        st.integers(0, 4),  # offsets skipped before the block
        st.sampled_from([0, 3]),  # uncompressed, lz4
        st.sampled_from([None, 7, 8]),  # a producer in a transaction
    ),
    max_size=6,
)


def encoded(blocks) -> tuple[bytes, int]:
    """Record batches as a broker sends them, and the offset after the last."""
    base, parts = 0, []
    for records, skipped, compression, producer in blocks:
        base += skipped
        builder = DefaultRecordBatchBuilder(
            2, compression, is_transactional=producer is not None, producer_id=producer or -1,
            producer_epoch=0, base_sequence=0, batch_size=1 << 20,
        )  # fmt: skip
        for i, (key, value) in enumerate(records):
            builder.append(i, 1_000 + base + i, key, value, [])
        batch = bytearray(builder.build())
        batch[:8] = base.to_bytes(8, "big")
        parts.append(bytes(batch))
        base += len(records)
    return b"".join(parts), base


def fetched(data: bytes, start: int, aborted=(), isolation=READ_COMMITTED) -> PartitionRecords:
    return PartitionRecords(PLACE, MemoryRecords(data), list(aborted), start, None, None, True, isolation)


@given(
    blocks,
    st.integers(0, 8),
    st.sets(st.sampled_from([7, 8])),
    st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]),
)
def test_same_records_as_aiokafka(blocks, start, aborted_producers, isolation):
    """Offsets, times, keys, values and the next position are those that aiokafka's iterator gives."""
    (data, _), (_, first_end) = encoded(blocks), encoded(blocks[:1])
    # A broker begins with the batch that holds the offset asked for.
    start = min(start, max(first_end - 1, 0))
    aborted = [(producer, 0) for producer in sorted(aborted_producers)]
    slow, fast = fetched(data, start, aborted, isolation), fetched(data, start, aborted, isolation)
    expected = [(r.offset, r.timestamp, r.key, r.value) for r in slow]
    columns = read_fetched(fast)
    assert expected == list(zip(columns.offsets, columns.times_ms, columns.keys, columns.values, strict=True))
    assert slow.next_fetch_offset == fast.next_fetch_offset


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=20))
def test_batch_gives_every_cell_back(records):
    """Nulls, empty cells and bytes come back as they were; times are microseconds."""
    columns = Columns(
        list(range(5, 5 + len(records))), [9] * len(records), [k for k, _ in records], [v for _, v in records]
    )
    batch = to_batch("log", TP("t", 1), columns, epoch=3, position=4)
    assert records == [(batch.key(i), batch.value(i)) for i in range(len(batch))]
    assert (5, 5 + len(records), 4, 3) == (
        batch.first_offset,
        batch.next_offset,
        batch.position,
        batch.epoch,
    )
    assert [9_000] * len(records) == batch.times_us.tolist()


def test_wrong_checksum_is_refused():
    """Bytes that changed on their way are never taken for records."""
    data, _ = encoded([([(b"k", b"value")], 0, 0, None)])
    with pytest.raises(CorruptRecordException, match="invalid checksum at offset 0"):
        read_fetched(fetched(data[:-3] + b"XXX", 0))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://a:1", ["a:1"]),
        ("kafka://a:1,b:2/", ["a:1", "b:2"]),
        ("kafka://a", ["a:9092"]),
    ],
)
def test_servers_of_a_url(url, expected):
    """Addresses are separated by commas; the port may be left out."""
    assert expected == servers(url)


@pytest.mark.parametrize("url", ["kafka://", "kafka://a,,b", "kafka:a"])
def test_other_urls_are_refused(url):
    """The error shows how it is written."""
    with pytest.raises(OperatorError, match="Kafka is written kafka://HOST:PORT,HOST:PORT"):
        servers(url)
