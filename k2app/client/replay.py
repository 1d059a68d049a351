"""A replay while it comes in, a record at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self

import pyarrow as pa

from k2app.client.answer import Notice
from k2app.client.replay_course import Line, ReplayCourse


class Replay:
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
        self._course = course
        self._readers = _readers(schema)
        # Who forgets to close it must not keep the connection.
        weakref.finalize(self, course.close)

    @property
    def snapshots(self) -> dict[str, int | None]:
        """Snapshot id of every table that takes part; None where it had none yet."""
        return dict(self._course.said["snapshots"])

    @property
    def as_of(self) -> datetime | None:
        """When the newest of them was committed; None if nothing was."""
        text = self._course.said["as_of"]
        return None if text is None else datetime.fromisoformat(text)

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What is left out, and what is missing."""
        return tuple(Notice(w["code"], w["message"], w["count"]) for w in self._course.said["warnings"])

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
        while (event := self._course.read()) is not None:
            yield {name: self._readers.get(name, _as_is)(value) for name, value in event.items()}

    def close(self) -> None:
        """Stop here."""
        self._course.close()

    def __iter__(self) -> Iterator[Line]:
        return self.records()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
