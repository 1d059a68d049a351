"""What leaves the embedded log: old batches, and values that newer ones of the same key replace."""

from __future__ import annotations

import numpy as np

from k2app.stream.log_records import records_from_pairs, stored_lengths, to_batch
from k2app.stream.log_topics import LogTopics, TopicInfo
from k2app.stream.record_batch import NULL_LENGTH, Int64s, RecordBatch


class LogTrimming(LogTopics):
    """Trimming and compaction, a transaction each."""

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
            whole = to_batch(self.log_id, topic, partition, [r[:7] for r in rows], 0, 0)
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
                stored_lengths(records),
                records.keys,
                records.values,
            ),
        )


def _latest_rows(batch: RecordBatch, newest_offset: int) -> Int64s:
    latest = {batch.key(row): row for row in range(len(batch))}
    kept = [
        row
        for row in sorted(latest.values())
        if batch.value_lengths[row] != NULL_LENGTH or batch.offsets[row] == newest_offset
    ]
    return np.array(kept, np.int64)
