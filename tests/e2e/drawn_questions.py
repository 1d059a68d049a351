"""Questions about the market of `grown_lake`, drawn at random; times stand on rows, beside them and anywhere."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from hypothesis import strategies as st

PINS = ("snapshot_id", "as_of", "snapshots", "tag")
"""Ways to ask for what was there."""

RETRACTED = "include_retracted"
"""The way to ask for what there would be if no load had been retracted."""

PINNED = st.sampled_from([None, None, *PINS])

STATES = PINNED | st.just(RETRACTED)
"""Of what is asked: what there is now (None), was before, or would be."""

SYMBOLS = (
    *("AQL", "BNR", "CRW", "DLM", "FNX", "HLX", "RSK", "ODD", 'Q "x", ünïcode', "NOPE"),
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"),
)

_UTC = dt.UTC

ROW_TIMES = (
    *(dt.datetime(2026, 4, 1, hour, minute, tzinfo=_UTC) for hour, minute in ((21, 15), (23, 0), (23, 30))),
    dt.datetime(2026, 4, 2, 5, 10, 12, tzinfo=_UTC),  # a closing auction
    dt.datetime(2026, 4, 2, 13, 0, tzinfo=_UTC),  # midnight in Sydney
    dt.datetime(2026, 4, 4, 16, 0, tzinfo=_UTC),  # clocks go back
    dt.datetime(2026, 4, 5, 14, 0, tzinfo=_UTC),
    dt.datetime(2026, 4, 6, 22, 15, tzinfo=_UTC),
    dt.datetime(2026, 4, 8, 6, 10, 12, tzinfo=_UTC),
)

MOMENTS = st.builds(
    lambda time, us: time + dt.timedelta(microseconds=us),
    st.sampled_from(ROW_TIMES),
    st.sampled_from([-1, 0, 0, 1]),
) | st.datetimes(dt.datetime(2026, 4, 1), dt.datetime(2026, 4, 9), timezones=st.just(_UTC))  # noqa: DTZ001 - the strategy gives the zone

SCOPES = st.fixed_dictionaries(
    {
        "symbol": st.lists(st.sampled_from(SYMBOLS), max_size=4),
        "exchange": st.sampled_from([None, None, "asx", "binance", "generic"]),
        "start": st.none() | MOMENTS,
        "end": st.none() | MOMENTS,
    }
).filter(lambda asked: asked["start"] is None or asked["end"] is None or asked["start"] < asked["end"])

LIMITS = st.integers(1, 50) | st.integers(1, 5_000)

PRICES = st.none() | st.sampled_from(
    [Decimal(text) for text in ("-0.00000001", "0", "2.5", "4.25", "118", "67321.11")]
)

QUANTITIES = st.none() | st.sampled_from(
    [Decimal(text) for text in ("0", "0.00000001", "10", "1000.5", "3163")]
)

COLUMNS = (
    "timestamp",
    "symbol",
    "sequence",
    "sequence_flag",
    "conditions",
    "offset",
    "trading_date",
    "topic",
)

BOUNDS = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["asc", "desc"]),
        "include_duplicates": st.sampled_from([None, True]),
        "columns": st.just([]) | st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True),
        "conditions": st.just([]) | st.lists(st.sampled_from(["1", "3", "10", "25", "26"]), max_size=2),
        "min_price": PRICES,
        "max_price": PRICES,
        "min_quantity": QUANTITIES,
        "max_quantity": QUANTITIES,
    }
)

ROWS = st.builds(
    lambda scope, bounds, bounded: scope | (bounds if bounded else {"order": bounds["order"]}),
    *(SCOPES, BOUNDS, st.booleans()),
)

INTERVALS = ("1s", "7s", "1m", "30m", "90m", "7h", "1d", "36h", "3d", "1w", "2w")

BARS = st.builds(
    lambda scope, bars: scope | bars,
    SCOPES,
    st.fixed_dictionaries(
        {
            "interval": st.sampled_from(INTERVALS),
            "align": st.sampled_from(["utc", "session"]),
            "fill": st.sampled_from(["none", "null", "previous"]),
        }
    )
    .filter(lambda bars: bars["fill"] == "none" or bars["interval"] not in INTERVALS[:3])
    .filter(lambda bars: bars["align"] == "utc" or bars["interval"] != "36h"),
).flatmap(
    lambda asked: st.sampled_from(
        [
            asked,
            asked | {"all_conditions": True},
            asked | {"exclude_conditions": ["10", "25"]},
        ]
    )
)

AGES = {"1ms": dt.timedelta(milliseconds=1), "5m": dt.timedelta(minutes=5), "2h": dt.timedelta(hours=2)}
AGES |= {"3d": dt.timedelta(days=3)}

TAQ = st.builds(
    lambda scope, taq: scope | taq,
    SCOPES,
    st.fixed_dictionaries(
        {
            "order": st.sampled_from(["asc", "desc"]),
            "max_age": st.sampled_from([None, *AGES]),
            "match": st.sampled_from(["at", "before"]),
        }
    ),
)

DATES = st.dates(dt.date(2026, 4, 1), dt.date(2026, 4, 10))

COMPLETENESS = st.fixed_dictionaries(
    {
        "data_type": st.sampled_from(["trades", "quotes"]),
        "symbol": st.lists(st.sampled_from(SYMBOLS), max_size=3),
        "exchange": st.sampled_from([None, None, "asx", "binance"]),
        "start_date": st.none() | DATES,
        "end_date": st.none() | DATES,
        "state": st.sampled_from([None, None, "available", "degraded", "missing"]),
    }
).filter(
    lambda asked: (
        asked["start_date"] is None or asked["end_date"] is None or asked["start_date"] <= asked["end_date"]
    )
)
