"""The embedded message log: one SQLite file, durable, shared by several processes.

A row of `batch` holds many records of one partition: appending and reading cost per batch, not per record. Offsets
are given per partition and never again, whatever is trimmed. The file carries a UUID, the log id: offsets mean
nothing without it.

A connection is used by one thread at a time; make one `LogFile` per role (reader, writer, loader).
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from k2app.errors import OperatorError, TransientError
from k2app.stream.batches import NULL_LENGTH, Int64s, RecordBatch

LOG_FORMAT = "1"
"""Layout of the file; a program refuses a file of another layout."""

BUSY_TIMEOUT_S = 60.0
"""Seconds to wait for another process's write: longer than any one append."""

PAGE_BYTES = 16_384
"""Page size: payloads are large, so few and large pages."""

_SCHEMA = """
create table if not exists meta (key text primary key, value text not null) without rowid;
create table if not exists topic (
    id integer primary key, name text not null unique, partitions integer not null, compacted integer not null);
create table if not exists partition (
    topic_id integer not null, partition integer not null,
    start_offset integer not null default 0, next_offset integer not null default 0,
    primary key (topic_id, partition)) without rowid;
create table if not exists batch (
    id integer primary key,
    topic_id integer not null, partition integer not null, base_offset integer not null,
    last_offset integer not null, count integer not null, time_us integer not null,
    offsets blob, lengths blob not null, keys blob not null, payload blob not null);
create unique index if not exists batch_place on batch (topic_id, partition, base_offset);
create table if not exists committed (
    consumer_group text not null, topic_id integer not null, partition integer not null,
    next_offset integer not null, primary key (consumer_group, topic_id, partition)) without rowid;
create table if not exists registered_schema (id integer primary key, text text not null unique);
create table if not exists subject_version (
    subject text not null, version integer not null, schema_id integer not null,
    primary key (subject, version)) without rowid;
"""


@dataclass(frozen=True)
class TopicInfo:
    """One topic of the log."""

    id: int
    name: str
    partitions: int
    compacted: bool


@dataclass(frozen=True)
class Records:
    """Records to append to one partition, as columns: concatenated keys and values with their lengths.

    A length of -1 is a null.
    """

    partition: int
    key_lengths: Int64s
    keys: bytes | pa.Buffer
    value_lengths: Int64s
    values: bytes | pa.Buffer

    def __len__(self) -> int:
        return len(self.value_lengths)


def records_from_pairs(partition: int, pairs: Sequence[tuple[bytes | None, bytes | None]]) -> Records:
    """Lay single records out as columns."""
    keys, values = [k for k, _ in pairs], [v for _, v in pairs]
    return Records(partition, _lengths(keys), _joined(keys), _lengths(values), _joined(values))


def _lengths(cells: Sequence[bytes | None]) -> Int64s:
    return np.fromiter((NULL_LENGTH if c is None else len(c) for c in cells), np.int64, len(cells))


def _joined(cells: Sequence[bytes | None]) -> bytes:
    return b"".join(c for c in cells if c is not None)


class LogFile:
    """One connection to the log at `path`, which is made if it does not exist."""

    def __init__(self, path: Path, *, synchronous: str = "full") -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
            )
            self._set_up(synchronous)
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(f"cannot open the log {path}: {error}") from error
        self.log_id = self._identity()
        self._topics: dict[str, TopicInfo] = {}

    def _set_up(self, synchronous: str) -> None:
        self._db.execute(f"pragma page_size = {PAGE_BYTES}")
        # Counts for a new file only; an older one keeps freed pages for what is appended next.
        self._db.execute("pragma auto_vacuum = incremental")
        self._db.execute("pragma journal_mode = wal")
        self._db.execute(f"pragma synchronous = {'full' if synchronous == 'full' else 'normal'}")
        self._db.execute("pragma wal_autocheckpoint = 4000")
        if self._db.execute("select 1 from sqlite_master where name = 'subject_version'").fetchone() is None:
            self._db.executescript(f"begin immediate; {_SCHEMA} commit;")

    def _identity(self) -> str:
        with self._transaction():
            for key, value in (("log_id", uuid.uuid4().hex), ("format", LOG_FORMAT)):
                self._db.execute("insert or ignore into meta values (?, ?)", (key, value))
        meta = dict(self._db.execute("select key, value from meta"))
        if meta["format"] != LOG_FORMAT:
            raise OperatorError(
                f"the log {self.path} has format {meta['format']}, this program reads {LOG_FORMAT}: "
                "use the version of K2 that wrote it"
            )
        return str(meta["log_id"])

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
        except sqlite3.OperationalError as error:
            raise TransientError(f"the log {self.path} is busy: {error}") from error
        try:
            yield
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise TransientError(f"cannot write the log {self.path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Several statements that see one state, whatever is appended or trimmed meanwhile."""
        self._db.execute("begin")
        try:
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")

    # --- topics

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """Make a topic. False: it exists; its partition count must be the same.

        Raises
        ------
        OperatorError
            It exists with another number of partitions.
        """
        with self._transaction():
            made = self._db.execute(
                "insert or ignore into topic (name, partitions, compacted) values (?, ?, ?)",
                (name, partitions, compacted),
            ).rowcount
            if made:
                topic_id = self._db.execute("select id from topic where name = ?", (name,)).fetchone()[0]
                self._db.executemany(
                    "insert into partition (topic_id, partition) values (?, ?)",
                    [(topic_id, p) for p in range(partitions)],
                )
        found = self.topic(name)
        if found is not None and found.partitions != partitions:
            raise OperatorError(
                f"topic {name} has {found.partitions} partitions, the configuration says {partitions}: "
                "a partition count never changes; set it back in the exchanges file"
            )
        return bool(made)

    def topic(self, name: str) -> TopicInfo | None:
        """Look a topic up."""
        known = self._topics.get(name)
        if known is None:
            row = self._db.execute(
                "select id, name, partitions, compacted from topic where name = ?", (name,)
            ).fetchone()
            if row is None:
                return None
            known = self._topics[name] = TopicInfo(row[0], row[1], row[2], bool(row[3]))
        return known

    def _known(self, name: str) -> TopicInfo:
        found = self.topic(name)
        if found is None:
            raise OperatorError(f"topic {name} is not in the log {self.path}: run `k2 init`")
        return found

    def topics(self) -> list[TopicInfo]:
        """List every topic, by name."""
        rows = self._db.execute("select id, name, partitions, compacted from topic order by name")
        return [TopicInfo(i, n, p, bool(c)) for i, n, p, c in rows]

    def bounds(self, names: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
        """First kept and next offset of every partition of the topics `names`."""
        wanted = {topic.id: topic.name for name in names if (topic := self.topic(name)) is not None}
        marks = ", ".join("?" * len(wanted))
        rows = self._db.execute(
            f"select topic_id, partition, start_offset, next_offset from partition where topic_id in ({marks})",
            tuple(wanted),
        )
        return {(wanted[t], p): (start, end) for t, p, start, end in rows}

    # --- appending

    def append(self, topic: str, parts: Sequence[Records], *, time_us: int | None = None) -> dict[int, int]:
        """Append records to partitions of one topic in one transaction.

        Returns
        -------
        dict
            Next offset per partition written.

        Raises
        ------
        TransientError
            Another process holds the file for too long, or the disk is full; nothing was written.
        """
        return self.append_all({topic: parts}, time_us=time_us).get(topic, {})

    def append_all(
        self, parts: Mapping[str, Sequence[Records]], *, time_us: int | None = None
    ) -> dict[str, dict[int, int]]:
        """Append to several topics in one transaction; see `append`."""
        now_us = time.time_ns() // 1000 if time_us is None else time_us
        infos = {name: self._known(name) for name in parts}
        with self._transaction():
            return {
                name: {r.partition: self._append_one(infos[name], r, now_us) for r in records if len(r)}
                for name, records in parts.items()
            }

    def _append_one(self, topic: TopicInfo, records: Records, time_us: int) -> int:
        place = (topic.id, records.partition)
        row = self._db.execute(
            "select next_offset from partition where topic_id = ? and partition = ?", place
        ).fetchone()
        if row is None:
            raise OperatorError(f"topic {topic.name} has no partition {records.partition}")
        base, count = int(row[0]), len(records)
        lengths = np.concatenate((records.key_lengths, records.value_lengths)).astype("<i4").tobytes()
        self._db.execute(
            "insert into batch (topic_id, partition, base_offset, last_offset, count, time_us, offsets, lengths,"
            " keys, payload) values (?, ?, ?, ?, ?, ?, null, ?, ?, ?)",
            (*place, base, base + count - 1, count, time_us, lengths, records.keys, records.values),
        )
        self._db.execute(
            "update partition set next_offset = ? where topic_id = ? and partition = ?",
            (base + count, *place),
        )
        return base + count

    # --- reading

    def read(
        self, topic: str, partition: int, offset: int, *, max_rows: int, max_bytes: int, epoch: int = 0
    ) -> RecordBatch | None:
        """Read records from `offset` on, at most about `max_rows` and `max_bytes`, at least one stored batch.

        Returns
        -------
        RecordBatch or None
            None: nothing is there yet.
        """
        info = self._known(topic)
        with self._looking():
            picked = self._pick(info, partition, offset, max_rows, max_bytes)
            marks = ", ".join("?" * len(picked))
            rows = self._db.execute(
                "select base_offset, count, time_us, offsets, lengths, keys, payload from batch"
                f" where id in ({marks}) order by base_offset",
                picked,
            ).fetchall()
        if not rows:
            return None
        whole = _to_batch(self.log_id, topic, partition, rows, offset, epoch)
        skip = int(np.searchsorted(whole.offsets, offset))
        wanted = whole.rows(skip, min(len(whole), skip + max_rows))
        return wanted if len(wanted) else None

    def _pick(self, info: TopicInfo, partition: int, offset: int, max_rows: int, max_bytes: int) -> list[int]:
        rows = self._db.execute(
            "select id, last_offset, count, length(payload) from batch"
            " where topic_id = ?1 and partition = ?2 and base_offset >= coalesce("
            "  (select max(base_offset) from batch where topic_id = ?1 and partition = ?2 and base_offset <= ?3), 0)"
            " order by base_offset",
            (info.id, partition, offset),
        )
        picked: list[int] = []
        n_rows = n_bytes = 0
        for batch_id, last, count, size in rows:
            if last < offset:
                continue
            if picked and (n_rows + count > max_rows or n_bytes + size > max_bytes):
                break
            picked.append(batch_id)
            n_rows, n_bytes = n_rows + count, n_bytes + size
            if n_rows >= max_rows:
                break
        return picked

    # --- consumer groups

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Remember the next offsets of a consumer group: a hint, the lake holds the truth."""
        rows = [(group, self._known(topic).id, p, offset) for (topic, p), offset in offsets.items()]
        with self._transaction():
            self._db.executemany("insert or replace into committed values (?, ?, ?, ?)", rows)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Read the next offsets of a consumer group."""
        rows = self._db.execute(
            "select t.name, c.partition, c.next_offset from committed c join topic t on t.id = c.topic_id"
            " where c.consumer_group = ?",
            (group,),
        )
        return {(name, p): offset for name, p, offset in rows}

    # --- retention

    def trim(self, topic: str, partition: int, before_offset: int) -> int:
        """Forget whole stored batches that end below `before_offset`; returns the new first offset."""
        info = self._known(topic)
        place = (info.id, partition)
        with self._transaction():
            self._db.execute(
                "delete from batch where topic_id = ? and partition = ? and last_offset < ?",
                (*place, before_offset),
            )
            first = self._db.execute(
                "select coalesce((select min(base_offset) from batch where topic_id = ?1 and partition = ?2),"
                " (select next_offset from partition where topic_id = ?1 and partition = ?2))",
                place,
            ).fetchone()[0]
            self._db.execute(
                "update partition set start_offset = max(start_offset, ?)"
                " where topic_id = ? and partition = ?",
                (first, *place),
            )
        return int(first)

    def compact(self, topic: str, partition: int, before_offset: int) -> int:
        """Keep only the last value per key below `before_offset`; returns the number of records dropped.

        Offsets stay as they were. The partition's newest record is kept whatever it is, so that readers reach
        the end; a null (tombstone) goes once nothing older of its key is left.
        """
        info = self._known(topic)
        place = (info.id, partition)
        with self._transaction():
            rows = self._db.execute(
                "select base_offset, count, time_us, offsets, lengths, keys, payload, id from batch"
                " where topic_id = ? and partition = ? and last_offset < ? order by base_offset",
                (*place, before_offset),
            ).fetchall()
            if not rows:
                return 0
            whole = _to_batch(self.log_id, topic, partition, [r[:7] for r in rows], 0, 0)
            end = self._db.execute(
                "select next_offset from partition where topic_id = ? and partition = ?", place
            ).fetchone()[0]
            kept = _latest_rows(whole, newest_offset=end - 1)
            if len(kept) == len(whole):
                return 0
            self._db.executemany("delete from batch where id = ?", [(r[7],) for r in rows])
            if len(kept):
                self._insert_sparse(info, partition, whole, kept)
        return len(whole) - len(kept)

    def _insert_sparse(self, info: TopicInfo, partition: int, whole: RecordBatch, kept: Int64s) -> None:
        pairs = [(whole.key(int(i)), whole.value(int(i))) for i in kept]
        records = records_from_pairs(partition, pairs)
        offsets = whole.offsets[kept]
        lengths = np.concatenate((records.key_lengths, records.value_lengths)).astype("<i4").tobytes()
        self._db.execute(
            "insert into batch (topic_id, partition, base_offset, last_offset, count, time_us, offsets, lengths,"
            " keys, payload) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                info.id,
                partition,
                int(offsets[0]),
                int(offsets[-1]),
                len(kept),
                int(whole.times_us[-1]),
                offsets.astype("<i8").tobytes(),
                lengths,
                records.keys,
                records.values,
            ),
        )

    # --- schemas

    def register(self, subject: str, text: str) -> int:
        """Register a schema under a subject; the same text keeps its id and version. Returns the id."""
        with self._transaction():
            self._db.execute("insert or ignore into registered_schema (text) values (?)", (text,))
            schema_id = int(
                self._db.execute("select id from registered_schema where text = ?", (text,)).fetchone()[0]
            )
            known = self._db.execute(
                "select 1 from subject_version where subject = ? and schema_id = ?", (subject, schema_id)
            ).fetchone()
            if known is None:
                self._db.execute(
                    "insert into subject_version select ?1, coalesce(max(version), 0) + 1, ?2"
                    " from subject_version where subject = ?1",
                    (subject, schema_id),
                )
        return schema_id

    def schema_text(self, schema_id: int) -> str | None:
        """Text of a registered schema."""
        row = self._db.execute("select text from registered_schema where id = ?", (schema_id,)).fetchone()
        return None if row is None else str(row[0])

    def subject_schemas(self, subject: str) -> list[tuple[int, str]]:
        """Ids and texts of a subject's schemas, oldest first."""
        rows = self._db.execute(
            "select s.id, s.text from subject_version v join registered_schema s on s.id = v.schema_id"
            " where v.subject = ? order by v.version",
            (subject,),
        )
        return [(int(i), str(t)) for i, t in rows]


_Stored = tuple[int, int, int, bytes | None, bytes, bytes, bytes]
"""base offset, count, time, offsets, lengths, keys, payload."""


def _to_batch(
    log_id: str, topic: str, partition: int, rows: Sequence[_Stored], position: int, epoch: int
) -> RecordBatch:
    lengths = [np.frombuffer(r[4], "<i4").astype(np.int64) for r in rows]
    key_lengths = np.concatenate([ln[: r[1]] for ln, r in zip(lengths, rows, strict=True)])
    value_lengths = np.concatenate([ln[r[1] :] for ln, r in zip(lengths, rows, strict=True)])
    return RecordBatch(
        log_id,
        topic,
        partition,
        np.concatenate([_stored_offsets(r) for r in rows]),
        np.concatenate([np.full(r[1], r[2], np.int64) for r in rows]),
        _one_buffer([r[6] for r in rows]),
        _starts(value_lengths),
        value_lengths,
        _one_buffer([r[5] for r in rows]),
        _starts(key_lengths),
        key_lengths,
        epoch,
        position,
    )


def _one_buffer(parts: Sequence[bytes]) -> pa.Buffer:
    return pa.py_buffer(parts[0] if len(parts) == 1 else b"".join(parts))


def _stored_offsets(row: _Stored) -> Int64s:
    if row[3] is not None:
        return np.frombuffer(row[3], "<i8").astype(np.int64)
    return np.arange(row[0], row[0] + row[1], dtype=np.int64)


def _starts(lengths: Int64s) -> Int64s:
    solid = np.maximum(lengths, 0)
    return np.cumsum(solid) - solid


def _latest_rows(batch: RecordBatch, newest_offset: int) -> Int64s:
    latest = {batch.key(row): row for row in range(len(batch))}
    kept = [
        row
        for row in sorted(latest.values())
        if batch.value_lengths[row] != NULL_LENGTH or batch.offsets[row] == newest_offset
    ]
    return np.array(kept, np.int64)
