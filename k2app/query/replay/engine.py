"""Snapshots and replays for Python programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from k2app.query.answers.result import Result
from k2app.query.engine import QueryEngine
from k2app.query.history.requests import SnapshotsRequest
from k2app.query.lake_queries import SNAPSHOTS_QUERY
from k2app.query.queries import QUOTES_QUERY, STATS_QUERY, TRADES_QUERY
from k2app.query.replay.player import opened, paced
from k2app.query.replay.request import ReplayRequest
from k2app.query.requests import RowsRequest, StatsRequest, make
from k2app.query.times import EPOCH, MICROSECOND

Table = Literal["trades", "quotes"]


@dataclass(frozen=True)
class Replayed:
    """Rows of a replay, and where it goes on.

    Parameters
    ----------
    rows
        In the total order; the column `record` says of which table.
    cursor
        Resumes after them.
    """

    rows: pa.RecordBatch
    cursor: str


@dataclass(frozen=True)
class ReplayStats:
    """What a replay of everything would read.

    Parameters
    ----------
    trades, quotes
        Rows of the tables, duplicates among them.
    snapshots
        Snapshot id of each table; None: it has none.
    as_of_us
        When the newest was committed; None: nothing was.
    """

    trades: int
    quotes: int
    snapshots: dict[str, int | None]
    as_of_us: int | None


class ReplayEngine:
    """Reads the lake as it was, and as it happened.

    Parameters
    ----------
    engine
        Answers; not closed with this.
    """

    def __init__(self, engine: QueryEngine) -> None:
        self._engine = engine

    def list_snapshots(self, table: Table = "trades", limit: int = 100) -> pa.Table:
        """The newest snapshots of a table, newest first; see `history.SNAPSHOTS_SCHEMA`."""
        request = make(SnapshotsRequest, table=table, limit=limit)
        return self._engine.answer(SNAPSHOTS_QUERY, request).rows

    def get_current_snapshot(self, table: Table = "trades") -> int | None:
        """Id of the newest snapshot of a table; None: nothing was committed."""
        return self.query_at_snapshot(None, table, limit=1).snapshots[table]

    def query_at_snapshot(
        self, snapshot_id: int | None, table: Table = "trades", **parameters: object
    ) -> Result:
        """A page of a table as it was.

        Parameters
        ----------
        snapshot_id
            None: the newest.
        parameters
            Of `RowsRequest`: symbol, start, end, limit, cursor ...
        """
        request = make(RowsRequest, snapshot_id=snapshot_id, **parameters)
        return self._engine.answer(TRADES_QUERY if table == "trades" else QUOTES_QUERY, request)

    def cold_start_replay(self, **parameters: object) -> Iterator[Replayed]:
        """Everything from the beginning of the lake, on the snapshots of now; memory stays bounded.

        Parameters
        ----------
        parameters
            Of `ReplayRequest`: symbol, data_type, columns, speed, rate, cursor ...
        """
        replay = opened(self._engine, make(ReplayRequest, **parameters))
        for piece in paced(self._engine, replay):
            yield Replayed(replay.batch(piece), replay.cursor(piece.place(len(piece) - 1)))

    def rewind_to_timestamp(
        self, timestamp: datetime | int | str, **parameters: object
    ) -> Iterator[Replayed]:
        """As `cold_start_replay`, from a time on.

        Parameters
        ----------
        timestamp
            A time with its zone, UTC microseconds, or text as requests have it.
        """
        start = (timestamp - EPOCH) // MICROSECOND if isinstance(timestamp, datetime) else timestamp
        return self.cold_start_replay(start=start, **parameters)

    def get_replay_stats(self) -> ReplayStats:
        """What a replay of everything would read."""
        found = self._engine.answer(STATS_QUERY, StatsRequest())
        rows = {row["table"]: row["rows"] for row in found.rows.to_pylist()}
        return ReplayStats(
            rows.get("trades", 0), rows.get("quotes", 0), dict(found.snapshots), found.as_of_us
        )
