"""Whether what a request names exists at all: a misspelt exchange must not look like one without rows."""

from __future__ import annotations

from difflib import get_close_matches

from k2app.errors import RequestError
from k2app.query.reading.filters import equal
from k2app.query.reading.reader import GAPS, QUOTES, REFERENCE_DATA, TRADES, Reader
from k2app.query.requests import Request

_TABLES = (TRADES, QUOTES, GAPS, REFERENCE_DATA)


def check_exchange(reader: Reader, request: Request) -> None:
    """Check the parameter `exchange` of a request, if it has one.

    Raises
    ------
    RequestError
        It is neither configured nor in the lake (rows may outlive their exchange's configuration); names the known.
    """
    name = getattr(request, "exchange", None)
    if not isinstance(name, str) or name in reader.exchanges or _has_rows(reader, name):
        return
    known = sorted(reader.exchanges)
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise RequestError("exchange", f"{name!r} is no exchange here; known are {', '.join(known)}{hint}")


def _has_rows(reader: Reader, exchange: str) -> bool:
    found = reader.snapshots.resolve(_TABLES, (), Request())
    body = "SELECT 1 AS one FROM matching LIMIT 1"
    return any(reader.query(found, table, equal("exchange", exchange), body).num_rows for table in _TABLES)
