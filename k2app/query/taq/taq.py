"""Trades with the quote that prevailed when they were made."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from k2app.errors import OperatorError
from k2app.lake.tables import SPECS, Name
from k2app.query.answers.page import Key, from_cursor, to_cursor
from k2app.query.answers.result import Notice, Result
from k2app.query.gaps.notices import gap_notices
from k2app.query.reading.filters import Filter, Term, between, named
from k2app.query.reading.first_rows import FirstRows
from k2app.query.reading.ordering import ORDER
from k2app.query.reading.reader import GAPS, PAGE_OR_STREAM, QUOTES, TRADES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE, committed_notice, judge, retracted_notice
from k2app.query.rows import KEY_TYPES, order_key, unknown_notices
from k2app.query.taq.picked_quotes import SIDES
from k2app.query.taq.quotes import Prevailing
from k2app.query.taq.request import TaqRequest

TIME = pa.timestamp("us", tz="UTC")

TWO, HALF = pa.scalar(Decimal(2), pa.decimal128(1, 0)), pa.scalar(Decimal("0.5"), pa.decimal128(1, 1))

MAX_DIGITS = 35
"""Digits of a price for which the mid can be computed in 38."""


def schema_of(trades: pa.Schema, quotes: pa.Schema) -> pa.Schema:
    """Schema of trades with their quotes, from the schemas of both; see `SCHEMA`.

    Raises
    ------
    OperatorError
        Prices have too many digits for what is computed of them.
    """
    of_quotes = max(quotes.field(name).type.precision for name in ("bid_price", "ask_price"))
    of_all = max(of_quotes, trades.field("price").type.precision)
    if of_all > MAX_DIGITS:
        raise OperatorError(
            f"taq computes with prices of at most {MAX_DIGITS} digits, these tables have {of_all}"
        )
    return pa.schema(
        [
            ("timestamp", TIME),
            ("symbol", pa.string()),
            ("exchange", pa.string()),
            *((name, trades.field(name).type) for name in ("price", "quantity")),
            ("side", pa.string()),
            ("conditions", pa.list_(pa.string())),
            ("sequence", pa.int64()),
            ("sequence_flag", pa.string()),
            ("quote_timestamp", TIME),
            *((side, quotes.field(side).type) for side in SIDES),
            ("mid", pa.decimal128(of_quotes + 2, 9)),
            ("spread", pa.decimal128(of_quotes + 1, 8)),
            ("effective_spread", pa.decimal128(of_all + 2, 8)),
            ("quote_age_us", pa.int64()),
        ]
    )


SCHEMA = schema_of(SPECS[Name.TRADES].arrow_schema, SPECS[Name.QUOTES].arrow_schema)
"""One row per visible trade, in the total order of trades; duplicates and rows of retracted loads are left out of
trades and quotes alike.

The quote is the last of its symbol and exchange in event time: at or before the trade (`match=at`) or before it; of
several at one time the last in the total order. It may lie before the range. From `quote_timestamp` on all is null
where there is none, or none young enough. `mid`, `spread` (ask less bid, negative where crossed) and `effective_spread`
(twice the distance of the price from the mid) are null where a side of the book is missing. Prices and quantities have
the types that they have in the snapshots.
"""

_TRADE = (
    "timestamp",
    "symbol",
    "exchange",
    "price",
    "quantity",
    "side",
    "conditions",
    "sequence",
    "sequence_flag",
)


@dataclass(frozen=True)
class _Asked:
    """One page of one question."""

    request: TaqRequest
    found: SnapshotSet
    after: Key | None

    @property
    def names(self) -> Filter:
        return named(self.request.symbol, self.request.exchange)

    @property
    def scope(self) -> Filter:
        """Every row of the range, on whichever page."""
        return (*self.names, *between("timestamp", self.request.start, self.request.end))

    @property
    def ascending(self) -> bool:
        return self.request.order == "asc"


def read_taq(reader: Reader, request: TaqRequest) -> Result:
    """Read a page of trades with their quotes; see `SCHEMA`.

    Raises
    ------
    RequestError
        The limit is larger than allowed, or the cursor is not one for this request.
    """
    reader.check_limit(request.limit, PAGE_OR_STREAM)
    asked = _open(reader, request)
    trades = _trades(reader, asked)
    more = trades.num_rows > request.limit
    trades = trades.slice(0, request.limit)
    strictly = request.match == "before"
    prevailing = Prevailing(reader, asked.found, request.exchange, request.max_age_us, strictly)
    schema = schema_of(
        *(reader.scanner.shape(asked.found.versions[table]).arrow for table in (TRADES, QUOTES))
    )
    shown = _joined(trades, prevailing.quotes(trades), schema)
    return Result(
        rows=shown,
        snapshots=asked.found.ids,
        as_of_us=asked.found.as_of_us,
        next=_next(asked, trades) if more else None,
        warnings=_notices(reader, asked, shown, complete=asked.after is None),
    )


def _open(reader: Reader, request: TaqRequest) -> _Asked:
    if request.cursor is None:
        found = reader.snapshots.resolve(
            (TRADES, QUOTES), (GAPS,), request, include_retracted=request.include_retracted
        )
        return _Asked(request, found, None)
    place = from_cursor(request.cursor, _question(request), KEY_TYPES)
    return _Asked(request, reader.snapshots.resume((TRADES, QUOTES), (GAPS,), place), place.key)


def _question(request: TaqRequest) -> list[object]:
    return ["taq", request.identity()]


def _trades(reader: Reader, asked: _Asked) -> pa.Table:
    """Trades of the page, and one more if there is one."""
    first = FirstRows(
        asked.found,
        TRADES,
        asked.scope,
        judge(reader, asked.found, TRADES, asked.scope),
        duplicates=False,
        columns=tuple(dict.fromkeys((*_TRADE, *ORDER))),
        ascending=asked.ascending,
        after=asked.after,
    )
    return first.read(reader, asked.request.limit + 1)


def _joined(trades: pa.Table, quotes: pa.Table, schema: pa.Schema) -> pa.Table:
    """Trades and their quotes side by side, with what follows from both."""
    columns = {name: trades[name] for name in _TRADE} | {side: quotes[side] for side in SIDES}
    both = pc.add(quotes["bid_price"], quotes["ask_price"])
    columns |= {
        "quote_timestamp": quotes["us"].cast(pa.timestamp("us")).cast(TIME),
        "mid": pc.multiply(both, HALF),
        "spread": pc.subtract(quotes["ask_price"], quotes["bid_price"]),
        "effective_spread": pc.abs(pc.subtract(pc.multiply(trades["price"], TWO), both)),
        "quote_age_us": pc.subtract(trades["timestamp"].cast(pa.int64()), quotes["us"]),
    }
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _next(asked: _Asked, trades: pa.Table) -> str:
    return to_cursor(asked.found.place(order_key(trades)), _question(asked.request))


def _notices(reader: Reader, asked: _Asked, shown: pa.Table, *, complete: bool) -> tuple[Notice, ...]:
    request = asked.request
    said: list[Notice] = []
    for table in (TRADES, QUOTES):
        said += committed_notice(asked.found, table)
        said += _hidden(reader, asked, table)
        said += gap_notices(reader, asked.found, table, asked.names, request.start, request.end)
    if complete:
        quoted_trades = shown.filter(shown["quote_timestamp"].is_valid())
        for table, rows in ((TRADES, shown), (QUOTES, quoted_trades)):
            said += unknown_notices(reader, asked.found, table, set(request.symbol), rows)
    return tuple(said)


def _hidden(reader: Reader, asked: _Asked, table: str) -> tuple[Notice, ...]:
    """How many rows of the range are hidden, whether or not they would have been on this page."""
    judged = judge(reader, asked.found, table, asked.scope)
    # Without retractions only files with duplicates are read, which are few.
    flagged = () if judged.withdrawn else (Term("sequence_flag", "=", DUPLICATE),)
    body = (
        f"{judged.sql} SELECT count(*) FILTER (duplicate AND NOT retracted) AS duplicates, "
        f"count(*) FILTER (retracted AND sequence_flag <> '{DUPLICATE}') AS retracted FROM judged"
    )
    terms = (*asked.scope, *flagged)
    if not reader.files(asked.found, table, terms):
        return ()
    (counts,) = reader.query(asked.found, table, terms, body, judged.parameters).to_pylist()
    said = []
    if counts["duplicates"]:
        message = f"{counts['duplicates']} duplicate {table} of the range left out; {table} shows them"
        said.append(Notice("duplicates_hidden", message, counts["duplicates"]))
    return (*said, *retracted_notice(counts["retracted"]))
