"""The calls that replay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import pyarrow as pa

from k2app.client.answer import Answer
from k2app.client.connection import Connection
from k2app.client.course import Course
from k2app.client.parameters import to_texts
from k2app.client.questions import Question
from k2app.client.replay import Replay
from k2app.client.replay_course import PATH, ReplayCourse
from k2app.client.values import Names, Time

_REPLAY = Question("replay", PATH, is_paged=False, takes_pins=True)

_PACING = ("speed", "rate")

_NEVER = {
    "start": datetime(1, 1, 1, tzinfo=UTC),
    "end": datetime(1, 1, 1, tzinfo=UTC) + timedelta(microseconds=1),
}
"""A range without rows."""


class Replays:
    """Trades and quotes in the order in which they happened."""

    _connection: Connection

    def replay(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        data_type: Literal["trades", "quotes", "both"] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        speed: float | str | None = None,
        rate: float | None = None,
        include_duplicates: bool = False,
        include_retracted: bool = False,
        columns: Names | None = None,
        cursor: str | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
    ) -> Replay:
        """Trades and quotes as they happened, a record at a time.

        Parameters
        ----------
        symbol, exchange, data_type, start, end
            Of what.
        speed
            How many times as fast as it happened; without it, as fast as it is taken.
        rate
            At most so many records a second.
        include_duplicates, include_retracted
            Show rows flagged as duplicates, rows of retracted loads too.
        columns
            Only these columns, in this order.
        cursor
            Go on after this place (`Replay.cursor`).
        snapshot_id, as_of, snapshots, tag
            From which snapshots; one of them at most.

        Raises
        ------
        K2Error
            As `Client.query`.
        """
        given = {
            "symbol": symbol,
            "exchange": exchange,
            "data_type": data_type,
            "start": start,
            "end": end,
            "speed": _number(speed),
            "rate": _number(rate),
            "include_duplicates": include_duplicates or None,
            "include_retracted": include_retracted or None,
            "columns": columns,
            "cursor": cursor,
            "snapshot_id": snapshot_id,
            "as_of": as_of,
            "snapshots": snapshots,
            "tag": tag,
        }
        schema = self._schema(given)
        return Replay(ReplayCourse(self._connection, to_texts(given)), schema)

    def replay_batches(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        data_type: Literal["trades", "quotes", "both"] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        include_duplicates: bool = False,
        include_retracted: bool = False,
        columns: Names | None = None,
        cursor: str | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
    ) -> Answer:
        """The same records as fast as they can be read, many at a time.

        Rows of both tables, with the column `record` first and the columns of both; what a table has not is null.
        Parameters and errors as of `replay`.
        """
        return self._batches(
            {
                "symbol": symbol,
                "exchange": exchange,
                "data_type": data_type,
                "start": start,
                "end": end,
                "include_duplicates": include_duplicates or None,
                "include_retracted": include_retracted or None,
                "columns": columns,
                "cursor": cursor,
                "snapshot_id": snapshot_id,
                "as_of": as_of,
                "snapshots": snapshots,
                "tag": tag,
            }
        )

    def _batches(self, given: Mapping[str, object]) -> Answer:
        return Answer(Course(self._connection, _REPLAY, to_texts(given), None))

    def _schema(self, given: Mapping[str, object]) -> pa.Schema:
        """Types of the columns, which JSON has not: those of the same replay of no time at all."""
        asked = {name: value for name, value in given.items() if name not in (*_PACING, "cursor")}
        with self._batches({**asked, **_NEVER}) as answer:
            return answer.schema


def _number(value: float | str | None) -> str | None:
    """A number as text; these are not amounts, and may be floats."""
    return None if value is None else str(value)
