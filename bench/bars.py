"""Bars and trades with quotes against hand-written DuckDB SQL on the same files, in turns.

Run: `python bench/bars.py [--rows 10000000] [--turns 15]`; writes bench-out/bars.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import closing
from functools import partial

import duckdb
from paired import Ask, paired
from serving_lake import DAY_US, MONDAY_US, OUT, files_of, lake_of

from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.bars.request import BarsRequest
from k2app.query.engine import QueryEngine
from k2app.query.queries import BARS_QUERY, TAQ_QUERY
from k2app.query.taq.request import TaqRequest
from k2app.settings import Settings

SYMBOL = "S042"

MAX_ROWS = 1_000_000
"""All bars in one page: the reference has no pages either."""

ORDER = 'timestamp, "sequence" NULLS FIRST, log_id, topic, "partition", "offset"'

ROW = '(timestamp, "sequence" IS NOT NULL, coalesce("sequence", 0), log_id, topic, "partition", "offset")'

RULE = (
    "sequence_flag <> 'duplicate' AND NOT list_has_any(conditions, ['1', '3', '9']) "
    "AND coalesce(attributes['venue'] <> 'X', true)"
)

SORTED = (f"first(price ORDER BY {ORDER})", f"last(price ORDER BY {ORDER})")

BY_ROW = (f"arg_min(price, {ROW})", f"arg_max(price, {ROW})")

BY_TIME = ("arg_min(price, timestamp)", "arg_max(price, timestamp)")
"""Wrong where trades share a time: what exactness costs."""

QUOTED = (
    "t.timestamp, t.symbol, t.exchange, t.price, t.quantity, t.side, t.conditions, t.sequence, t.sequence_flag, "
    "q.timestamp AS quote_timestamp, q.bid_price, q.bid_quantity, q.ask_price, q.ask_quantity"
)


QUESTIONS = (
    ("one symbol, five days", f"symbol = '{SYMBOL}'", BarsRequest(symbol=(SYMBOL,), limit=MAX_ROWS), 1),
    ("all symbols, five days", "true", BarsRequest(limit=MAX_ROWS), 4),
)
"""What is asked, which rows that is, and how many fewer turns it gets."""

BY_HAND = (
    ("first(ORDER BY)", SORTED, RULE),
    ("arg_min(row)", BY_ROW, RULE),
    ("arg_min(row), no off-market rule", BY_ROW, "sequence_flag <> 'duplicate'"),
    ("arg_min(timestamp), wrong on ties", BY_TIME, RULE),
)

TAQ = TaqRequest(symbol=(SYMBOL,), start=MONDAY_US + DAY_US, end=MONDAY_US + 2 * DAY_US, limit=MAX_ROWS)


def bars_sql(prices: tuple[str, str], rule: str, where: str) -> str:
    """Minute bars as one writes them by hand."""
    opened, closed = prices
    return f"""
SELECT symbol, exchange, currency, make_timestamptz(minute * 60000000) AS timestamp,
  {opened} AS open, max(price) AS high, min(price) AS low, {closed} AS close, sum(quantity) AS volume,
  sum(price::DECIMAL(28, 8) * quantity) AS notional,
  notional / volume AS vwap, count(*) AS trades, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp
FROM (SELECT *, epoch_us(timestamp) // 60000000 AS minute FROM read_parquet($files)) WHERE {where} AND {rule}
GROUP BY symbol, exchange, currency, minute ORDER BY symbol, exchange, currency, minute"""


def taq_sql(unique: str) -> str:
    """An as-of join as one writes it by hand."""
    own = (
        f"WHERE symbol = '{SYMBOL}' AND sequence_flag <> 'duplicate' "
        f"AND timestamp >= make_timestamptz({MONDAY_US + DAY_US}) "
        f"AND timestamp < make_timestamptz({MONDAY_US + 2 * DAY_US})"
    )
    return f"""
SELECT {QUOTED}, (bid_price + ask_price) / 2 AS mid, ask_price - bid_price AS spread
FROM (SELECT * FROM read_parquet($files) {own}) t ASOF LEFT JOIN (SELECT * FROM read_parquet($quotes) {own} {unique}) q
  ON t.symbol = q.symbol AND t.exchange = q.exchange AND t.timestamp >= q.timestamp
ORDER BY t.timestamp, t."sequence" NULLS FIRST, t.log_id, t.topic, t."partition", t."offset\""""


UNIQUE = (
    "QUALIFY row_number() OVER (PARTITION BY symbol, exchange, timestamp "
    'ORDER BY "sequence" DESC NULLS LAST, log_id DESC, topic DESC, "partition" DESC, "offset" DESC) = 1'
)


def by_hand(settings: Settings) -> Callable[..., Ask]:
    """A DuckDB with the engine's own settings."""
    connection = duckdb.connect()
    for setting in (
        f"threads = {settings.query.threads}",
        f"memory_limit = '{settings.query.memory_limit}'",
        "TimeZone = 'UTC'",
        "parquet_metadata_cache = true",
    ):
        connection.execute(f"SET {setting}")

    def ask(sql: str, **files: list[str]) -> Ask:
        return lambda: connection.execute(sql, files).to_arrow_table()

    return ask


def measure(settings: Settings, turns: int) -> list[dict[str, object]]:
    """Every question against every way to write it."""
    trades, quotes = files_of(settings, Name.TRADES), files_of(settings, Name.QUOTES)
    hand = by_hand(settings)
    found = []
    with closing(open_catalog(settings)) as catalog:
        engine = QueryEngine(settings, catalog, exchanges.load())
        with closing(engine):
            for what, where, asked, often in QUESTIONS:
                for name, prices, rule in BY_HAND:
                    mine = asked if rule == RULE else asked.model_copy(update={"all_conditions": True})
                    reference = hand(bars_sql(prices, rule, where), files=trades)
                    ours = partial(engine.answer, BARS_QUERY, mine)
                    found.append(line(f"bars: {what}; {name}", reference, ours, max(3, turns // often)))
            for name, unique in (("ASOF, any quote on ties", ""), ("ASOF, last quote on ties", UNIQUE)):
                reference = hand(taq_sql(unique), files=trades, quotes=quotes)
                ours = partial(engine.answer, TAQ_QUERY, TAQ)
                found.append(line(f"taq: one symbol, one day; {name}", reference, ours, turns))
    return found


def line(what: str, reference: Ask, ours: Ask, turns: int) -> dict[str, object]:
    """Time one pair and print it."""
    pair = paired(reference, ours, turns)
    print(f"{what:<75} {pair.reference_ms:>9.1f} {pair.ours_ms:>9.1f} {pair.ratio:>7.2f}", flush=True)
    return {"what": what, "reference_ms": pair.reference_ms, "ours_ms": pair.ours_ms, "ratio": pair.ratio}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args()
    settings = lake_of(options.rows)
    settings = settings.model_copy(update={"query": settings.query.model_copy(update={"max_rows": MAX_ROWS})})
    print(f"{'':<75} {'by hand':>9} {'ours ms':>9} {'ratio':>7}")
    found = measure(settings, options.turns)
    (OUT / "bars.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
