"""Topics and partitions of the embedded log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from k2app.errors import OperatorError
from k2app.stream.log_connection import LogConnection


@dataclass(frozen=True)
class TopicInfo:
    """One topic of the log."""

    id: int
    name: str
    partitions: int
    compacted: bool


class LogTopics(LogConnection):
    """Topics of a log."""

    def __init__(self, path: Path, *, synchronous: str = "full") -> None:
        super().__init__(path, synchronous=synchronous)
        self._topics: dict[str, TopicInfo] = {}

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
