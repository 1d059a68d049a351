"""The embedded message log: one SQLite file, durable, shared by several processes.

A row of `batch` holds many records of one partition: appending and reading cost per batch, not per record. Offsets
are given per partition and never again, whatever is trimmed. The file carries a UUID, the log id: offsets mean
nothing without it.

A connection is used by one thread at a time; make one `LogFile` per role (reader, writer, loader).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from k2app.errors import OperatorError
from k2app.stream.log_records import Records, stored_lengths, to_batch
from k2app.stream.log_schemas import LogSchemas
from k2app.stream.log_topics import TopicInfo
from k2app.stream.log_trimming import LogTrimming
from k2app.stream.record_batch import RecordBatch


class LogFile(LogTrimming, LogSchemas):
    """One connection to the log at `path`, which is made if it does not exist: everything that it can do."""

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
        self._db.execute(
            "insert into batch (topic_id, partition, base_offset, last_offset, count, time_us, offsets, lengths,"
            " keys, payload) values (?, ?, ?, ?, ?, ?, null, ?, ?, ?)",
            (
                *place,
                base,
                base + count - 1,
                count,
                time_us,
                stored_lengths(records),
                records.keys,
                records.values,
            ),
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
        whole = to_batch(self.log_id, topic, partition, rows, offset, epoch)
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
