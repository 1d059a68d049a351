import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.errors import OperatorError
from k2app.stream.log_file import LogFile
from k2app.stream.log_records import records_from_pairs
from tests.processes import WITHIN_S, stopped

TOPIC = "market.equities.trades.asx"
EVERYTHING = {"max_rows": 10**9, "max_bytes": 10**12}


def pairs_of(batch):
    return [(batch.key(i), batch.value(i)) for i in range(len(batch))]


def append(log, pairs, partition=0, topic=TOPIC):
    return log.append(topic, [records_from_pairs(partition, pairs)])


@pytest.fixture
def log(tmp_path):
    with closing(LogFile(tmp_path / "log.db")) as log:
        log.create_topic(TOPIC, 2)
        yield log


CELLS = st.none() | st.binary(max_size=5)
PAIRS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", None]), CELLS), min_size=1, max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), PAIRS),
        st.tuples(st.just("trim"), st.integers(0, 30)),
        st.tuples(st.just("compact"), st.integers(0, 30)),
    ),
    max_size=12,
)


class Model:
    """The log as a plain list: (offset, key, value) of the records that are kept, and the next offset."""

    def __init__(self):
        self.kept, self.next, self.batches = [], 0, []

    def append(self, pairs):
        offsets = range(self.next, self.next + len(pairs))
        self.kept += [(o, k, v) for o, (k, v) in zip(offsets, pairs, strict=True)]
        self.next += len(pairs)
        self.batches.append(list(offsets))

    def trim(self, before):
        gone = {o for batch in self.batches if batch[-1] < before for o in batch}
        self.batches = [batch for batch in self.batches if batch[-1] >= before]
        self.kept = [r for r in self.kept if r[0] not in gone]

    def compact(self, before):
        inside = [o for batch in self.batches if batch[-1] < before for o in batch]
        records = [r for r in self.kept if r[0] in set(inside)]
        latest = {k: r for r in records for k in [r[1]]}
        stay = {r[0] for r in latest.values() if r[2] is not None or r[0] == self.next - 1}
        if len(stay) == len(records):
            return
        self.kept = [r for r in self.kept if r[0] not in set(inside) or r[0] in stay]
        rest = [batch for batch in self.batches if batch[-1] >= before]
        self.batches = ([sorted(stay)] if stay else []) + rest


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, start=st.integers(0, 30), rows=st.integers(1, 8))
def test_log_reads_like_a_list(steps, start, rows, tmp_path_factory):
    """Whatever is appended, trimmed and compacted, a reader sees what a plain list would show, in pages of any size."""
    model = Model()
    with closing(LogFile(tmp_path_factory.mktemp("log") / "log.db")) as log:
        log.create_topic(TOPIC, 1)
        for step, argument in steps:
            if step == "append":
                append(log, argument)
                model.append(argument)
            else:
                getattr(log, step)(TOPIC, 0, argument)
                getattr(model, step)(argument)
        found, at = [], start
        while (batch := log.read(TOPIC, 0, at, max_rows=rows, max_bytes=50)) is not None:
            assert 0 < len(batch) <= rows
            found += [(int(o), k, v) for o, (k, v) in zip(batch.offsets, pairs_of(batch), strict=True)]
            at = batch.next_offset
        assert [r for r in model.kept if r[0] >= start] == found
        assert model.next == log.bounds([TOPIC])[TOPIC, 0][1]


def test_offsets_go_on_after_everything_is_trimmed(log):
    """An offset is given once, even if the log is empty in between."""
    append(log, [(b"k", b"1"), (b"k", b"2")])
    assert 2 == log.trim(TOPIC, 0, 100)
    assert (2, 2) == log.bounds([TOPIC])[TOPIC, 0]
    assert {0: 3} == append(log, [(b"k", b"3")])


def test_an_appended_batch_is_whole_or_absent(log):
    """Records of several partitions appended together are all there, or none is."""
    parts = [records_from_pairs(0, [(b"k", b"v")]), records_from_pairs(7, [(b"k", b"v")])]
    with pytest.raises(OperatorError, match="has no partition 7"):
        log.append(TOPIC, parts)
    assert (0, 0) == log.bounds([TOPIC])[TOPIC, 0]


def test_two_processes_append(log):
    """Appends of another process are seen, and offsets never collide."""
    script = (
        "import sys; from pathlib import Path; from k2app.stream.log_file import LogFile\n"
        "from k2app.stream.log_records import records_from_pairs\n"
        "log = LogFile(Path(sys.argv[1]))\n"
        "for i in range(50): log.append(sys.argv[2], [records_from_pairs(0, [(b'other', b'%d' % i)])])\n"
    )
    with stopped(subprocess.Popen([sys.executable, "-c", script, str(log.path), TOPIC])) as other:
        for i in range(50):
            append(log, [(b"mine", b"%d" % i)])
        assert 0 == other.wait(WITHIN_S)
    batch = log.read(TOPIC, 0, 0, **EVERYTHING)
    assert list(range(100)) == batch.offsets.tolist()
    for name in (b"mine", b"other"):
        assert [b"%d" % i for i in range(50)] == [v for k, v in pairs_of(batch) if k == name]


def test_identity_lasts_and_is_the_files_own(tmp_path):
    """A log keeps its id when it is opened again; a new file has another."""
    with closing(LogFile(tmp_path / "a.db")) as first, closing(LogFile(tmp_path / "b.db")) as other:
        assert first.log_id != other.log_id
        with closing(LogFile(tmp_path / "a.db")) as again:
            assert first.log_id == again.log_id


def test_a_log_of_another_format_is_refused(tmp_path):
    """A file that another version wrote is named, with the way out."""
    LogFile(tmp_path / "log.db").close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as db:
        db.execute("update meta set value = '99' where key = 'format'")
        db.commit()
    with pytest.raises(OperatorError, match="has format 99, this program reads 1: use the version"):
        LogFile(tmp_path / "log.db")


def test_a_changed_partition_count_is_refused(log):
    """Keys would move to other partitions: the count is pinned."""
    assert not log.create_topic(TOPIC, 2)
    with pytest.raises(OperatorError, match="has 2 partitions, the configuration says 3"):
        log.create_topic(TOPIC, 3)


def test_schemas_keep_their_ids(log):
    """The same text has one id under every subject; another text gets another, and versions are kept in order."""
    first = log.register("a-value", "one")
    assert first == log.register("a-value", "one") == log.register("b-value", "one")
    second = log.register("a-value", "two")
    assert [(first, "one"), (second, "two")] == log.subject_schemas("a-value")
    assert "two" == log.schema_text(second)
    assert log.schema_text(99) is None


def test_null_and_empty_are_told_apart(log):
    """An empty key or value is a value; a null one is none."""
    append(log, [(None, b""), (b"", None)])
    assert [(None, b""), (b"", None)] == pairs_of(log.read(TOPIC, 0, 0, **EVERYTHING))
