"""The questions for chDB: a MergeTree by symbol and time, decimals as they are, bars by the total order."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import chdb.session
import pyarrow as pa
import pyarrow.compute as pc
from rivals_questions import (
    COLUMNS,
    END_US,
    POINT_ROWS,
    START_US,
    SYMBOL,
    TAQ_END_US,
    TAQ_START_US,
    Sum,
)

Ask = Callable[[], pa.Table]

SETTINGS = ("max_threads = 2", "max_memory_usage = 4000000000", "session_timezone = 'UTC'")

POINT = (
    "SELECT {columns} FROM trades WHERE symbol = '{symbol}' AND timestamp >= {start} AND timestamp < {end} "
    "ORDER BY timestamp, sequence, partition, offset LIMIT {rows}"
)

BARS = (
    "SELECT symbol, toStartOfMinute(timestamp) AS minute, "
    "argMin(price, (timestamp, sequence, partition, offset)) AS open, max(price) AS high, min(price) AS low, "
    "argMax(price, (timestamp, sequence, partition, offset)) AS close, sum(quantity) AS volume, "
    "sum(toDecimal128(price, 8) * quantity) / volume AS vwap, count() AS trades, "
    "min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp "
    "FROM trades {where} GROUP BY symbol, minute ORDER BY symbol, minute"
)

TAQ = (
    "SELECT t.*, q.timestamp AS quote_timestamp, q.bid_price, q.bid_quantity, q.ask_price, q.ask_quantity, "
    "(q.bid_price + q.ask_price) / 2 AS mid, q.ask_price - q.bid_price AS spread "
    "FROM (SELECT * FROM trades WHERE {own}) AS t ASOF LEFT JOIN (SELECT * FROM quotes WHERE {own}) AS q "
    "ON t.symbol = q.symbol AND t.timestamp >= q.timestamp ORDER BY t.timestamp, t.sequence, t.partition, t.offset"
)


def questions(files: dict[str, list[str]], out: Path) -> dict[str, Ask]:
    """Load the rows, and make the questions."""
    folder = out / "chdb"
    shutil.rmtree(folder, ignore_errors=True)
    session = chdb.session.Session(str(folder))
    for statement in (*(f"SET {one}" for one in SETTINGS), "CREATE DATABASE k2", "USE k2"):
        session.query(statement)
    for name, paths in files.items():
        _load(session, name, paths)
    own = f"symbol = '{SYMBOL}' AND timestamp >= {_time(TAQ_START_US)} AND timestamp < {_time(TAQ_END_US)}"
    asked = {
        "point": POINT.format(
            columns=", ".join(COLUMNS["trades"]),
            symbol=SYMBOL,
            start=_time(START_US),
            end=_time(END_US),
            rows=POINT_ROWS,
        ),
        "bars, one symbol": BARS.format(where=f"WHERE symbol = '{SYMBOL}'"),
        "bars, all symbols": BARS.format(where=""),
        "taq": TAQ.format(own=own),
    }
    return {name: partial(_table, session, sql) for name, sql in asked.items()}


def summed(table: pa.Table) -> Sum:
    """What an answer is compared by."""
    volume = table["volume" if "volume" in table.column_names else "quantity"]
    return Sum(table.num_rows, int(pc.sum(volume).as_py()))


def _load(session: chdb.session.Session, name: str, paths: list[str]) -> None:
    """A table of the columns that are asked for, in one part a day merged to one."""
    # Grouping and sorting by what may be null takes longer, and nothing of this is.
    columns = ", ".join(f"assumeNotNull({column}) AS {column}" for column in COLUMNS[name])
    first, *others = (f"SELECT {columns} FROM file('{path}', Parquet)" for path in paths)
    session.query(f"CREATE TABLE {name} ENGINE = MergeTree ORDER BY (symbol, timestamp) AS {first}")
    for select in others:
        session.query(f"INSERT INTO {name} {select}")
    session.query(f"OPTIMIZE TABLE {name} FINAL")


def _table(session: chdb.session.Session, sql: str) -> pa.Table:
    return pa.ipc.open_stream(session.query(sql, "ArrowStream").bytes()).read_all()


def _time(micros: int) -> str:
    return f"fromUnixTimestamp64Micro({micros}, 'UTC')"
