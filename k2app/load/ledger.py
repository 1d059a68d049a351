"""What was loaded: the logic over the lake's table `loads`, whose rows are events; the newest of a load counts.

A load is first `reserved` (its numbers are its own, whatever becomes of it), then `sent`, or `failed` if the file
could not be read to its end. Numbers are never given back: a load that died on the way is resumed by loading the same
file, which finds them here. `retracted` is final: queries leave its rows out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from k2app.lake.ledger import RETRACTED
from k2app.load.numbering import Key, Range

RESERVED: Final = "reserved"
SENT: Final = "sent"
FAILED: Final = "failed"
STATES: Final = (RESERVED, SENT, FAILED, RETRACTED)

EPOCH: Final = date(1970, 1, 1)


class Sent(NamedTuple):
    """Offsets [start, end) that a load filled."""

    topic: str
    partition: int
    start: int
    end: int


@dataclass(frozen=True)
class LoadEntry:
    """One load, as of `recorded_at`.

    Parameters
    ----------
    load_id
        A UUID's hex; loading the same file again makes a new one.
    state
        `reserved`, `sent`, `failed` or `retracted`.
    recorded_at
        When this was written down, UTC.
    file, file_sha256, file_bytes
        The file as it was named, and what it is known by.
    exchange, data_type, profile, sequence_mode, symbol
        How it was read; `profile` is `Profile.identity`.
    rows, rejects, rejects_file
        What came of it.
    numbers
        Numbers it was given.
    sent
        Where its rows are on the log.
    log_id
        Which log that is.
    reason
        Why it was retracted, in the operator's words; or why it failed.
    """

    load_id: str
    state: str
    recorded_at: datetime
    file: str
    file_sha256: str
    file_bytes: int
    exchange: str
    data_type: str
    profile: str
    sequence_mode: str
    symbol: str | None
    rows: int
    rejects: int
    rejects_file: str | None
    numbers: Mapping[Key, Range]
    sent: tuple[Sent, ...]
    log_id: str
    reason: str | None = None

    def row(self) -> dict[str, Any]:
        """A row of the table `loads`, for `pyarrow.Table.from_pylist` with the table's schema."""
        numbers = [
            {
                "symbol": key.symbol,
                "trading_date": EPOCH + timedelta(days=key.trading_date),
                "first": given.first,
                "last": given.last,
            }
            for key, given in sorted(self.numbers.items())
        ]
        return {**asdict(self), "numbers": numbers, "sent": [one._asdict() for one in self.sent]}


def entries(loads: Any) -> list[LoadEntry]:
    """Every load once, as of its newest row, oldest load first.

    Parameters
    ----------
    loads
        Rows of the table `loads`, in any order; other columns are ignored.
    """
    found = [_entry(row) for row in loads.to_pylist()]
    # In one moment, what says more is newer.
    found.sort(key=lambda one: (one.recorded_at, STATES.index(one.state)))
    newest: dict[str, LoadEntry] = {}
    for one in found:
        newest[one.load_id] = _after(newest.get(one.load_id), one)
    return sorted(newest.values(), key=lambda one: (one.recorded_at, one.load_id))


def _after(before: LoadEntry | None, one: LoadEntry) -> LoadEntry:
    """What is known of a load after one more row; a load that was still being sent stays retracted."""
    if before is None or before.state != RETRACTED or one.state == RETRACTED:
        return one
    return replace(one, state=RETRACTED, recorded_at=before.recorded_at, reason=before.reason)


def find_same(
    loads: Any, sha256: str, exchange: str, data_type: str, profile: str, symbol: str | None
) -> LoadEntry | None:
    """The load of the same file, read the same way: one that was given numbers, one that stands, the newest.

    Profiles of one's own are the same if they say the same, whatever their files are called.
    """
    asked = (sha256, exchange, data_type, _content(profile), symbol)
    same = [
        one
        for one in entries(loads)
        if (one.file_sha256, one.exchange, one.data_type, _content(one.profile), one.symbol) == asked
    ]
    return max(
        same, key=lambda one: (bool(one.numbers), one.state != RETRACTED, one.recorded_at), default=None
    )


def read_otherwise(loads: Any, sha256: str, exchange: str, data_type: str, profile: str) -> list[LoadEntry]:
    """Loads of the same bytes to the same topic with another profile, oldest first; retracted ones aside.

    Their rows are not known as copies: with numbers of the loader's own, the file is in the lake twice.
    """
    asked = (sha256, exchange, data_type)
    return [
        one
        for one in entries(loads)
        if (one.file_sha256, one.exchange, one.data_type) == asked
        and one.state != RETRACTED
        and _content(one.profile) != _content(profile)
    ]


def failed_before(loads: Any, file: str, exchange: str, data_type: str) -> LoadEntry | None:
    """The newest load of a file of this name that broke off with rows on the log, if nothing took them back."""
    asked = (file, exchange, data_type, FAILED)
    found = [one for one in entries(loads) if (one.file, one.exchange, one.data_type, one.state) == asked]
    return next((one for one in reversed(found) if one.rows), None)


def _content(profile: str) -> str:
    """Of `Profile.identity`: the digest of a profile of one's own, the name of one that ships."""
    return profile.rpartition("@")[2]


def taken(loads: Any, exchange: str, data_type: str) -> dict[Key, int]:
    """Last number given to each symbol and trading date, sent or not."""
    last: dict[Key, int] = {}
    for one in entries(loads):
        if (one.exchange, one.data_type) == (exchange, data_type):
            for key, given in one.numbers.items():
                last[key] = max(given.last, last.get(key, given.last))
    return last


def _entry(row: Mapping[str, Any]) -> LoadEntry:
    numbers = {
        Key(one["symbol"], (one["trading_date"] - EPOCH).days): Range(one["first"], one["last"])
        for one in row["numbers"]
    }
    names = LoadEntry.__dataclass_fields__
    # A ledger from before `reason` has no such column.
    known: dict[str, Any] = {
        name: row.get(name) for name in names if name not in ("numbers", "sent", "recorded_at")
    }
    sent = tuple(Sent(**one) for one in row["sent"])
    return LoadEntry(**known, numbers=numbers, sent=sent, recorded_at=row["recorded_at"].astimezone(UTC))
