"""A replay while it comes in, a record or a line at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from k2app.client.opened import Opened
from k2app.client.replay_course import ReplayCourse
from k2app.client.replay_lines import Line, control_of


class Replay(Opened):
    """Trades and quotes in the order in which they happened, and what is said of them.

    Reading to the end proves them complete. Close it (or use `with`) where it is not read to its end: the server then
    stops.

    Parameters
    ----------
    course
        The replay on its way.
    schema
        Types of the columns.
    """

    def __init__(self, course: ReplayCourse, schema: pa.Schema) -> None:
        super().__init__(course)
        self._course = course
        self._readers = _readers(schema)

    @property
    def cursor(self) -> str:
        """Token of a place at or shortly before the last record: given as `cursor`, the replay goes on there."""
        return self._course.token

    def records(self) -> Iterator[Line]:
        """Rows as dicts, `record` first: the table. Decimals as Decimal, times as datetime in UTC.

        Raises
        ------
        TransientError
            The replay broke off, and could not be taken up again.
        """
        return (event for event in self.events() if "record" in event)

    def events(self) -> Iterator[Line]:
        """Rows, and between them sequence gaps (`control` is `gap`) where they showed. Raises what `records` does."""
        while (raw := self._course.read()) is not None:
            event = json.loads(raw)
            if event.get("control", "gap") == "gap":
                yield {name: self._readers.get(name, _as_is)(value) for name, value in event.items()}

    def __iter__(self) -> Iterator[Line]:
        return self.records()


class ReplayText(Opened):
    """A replay as the lines of NDJSON that the server writes, and as if one request had brought them all.

    Only signs of life are left out: progress lines that name no other place.

    Parameters
    ----------
    course
        The replay on its way.
    """

    def __init__(self, course: ReplayCourse) -> None:
        super().__init__(course)
        self._course = course
        self.rows = 0
        """Rows that were handed out."""

    def lines(self) -> Iterator[bytes]:
        """Lines with their line feeds, from the start to the end. Raises what `Replay.records` does."""
        yield self._course.start
        while (raw := self._course.read()) is not None:
            self.rows += control_of(raw) is None
            yield raw

    def __iter__(self) -> Iterator[bytes]:
        return self.lines()


def _readers(schema: pa.Schema) -> dict[str, Any]:
    """What makes each column's JSON its value; the others stay as they are."""
    return {field.name: reader for field in schema if (reader := _reader(field.type)) is not None}


def _reader(kind: pa.DataType) -> Any:
    if pa.types.is_decimal(kind):
        return _or_none(Decimal)
    if pa.types.is_timestamp(kind):
        return _or_none(datetime.fromisoformat)
    return _or_none(date.fromisoformat) if pa.types.is_date(kind) else None


def _or_none(read: Any) -> Any:
    return lambda text: None if text is None else read(text)


def _as_is(value: Any) -> Any:
    return value
