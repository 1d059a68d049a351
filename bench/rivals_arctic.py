"""The questions for ArcticDB: one of its symbols for each of ours, on LMDB; prices and quantities as floats.

Rows are written in the total order, so that `first` and `last` of a bar follow it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from arcticdb import Arctic, QueryBuilder
from arcticdb.config import set_config_int
from arcticdb.version_store.library import Library, ReadRequest
from rivals_questions import (
    AMOUNTS,
    COLUMNS,
    END_US,
    POINT_ROWS,
    START_US,
    SYMBOL,
    SYMBOLS,
    TAQ_END_US,
    TAQ_START_US,
    Sum,
)

Ask = Callable[[], pd.DataFrame]

ORDER = ("timestamp", "sequence", "partition", "offset")

AGGREGATES = {
    "open": ("price", "first"),
    "high": ("price", "max"),
    "low": ("price", "min"),
    "close": ("price", "last"),
    "volume": ("quantity", "sum"),
    "notional": ("notional", "sum"),
    "trades": ("price", "count"),
}


def questions(files: dict[str, list[str]], out: Path) -> dict[str, Ask]:
    """Load the rows, and make the questions."""
    folder = (out / "arctic").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    set_config_int("VersionStore.NumCPUThreads", 2)
    library = Arctic(f"lmdb://{folder}?map_size=8GB").get_library("k2", create_if_missing=True)
    for name, paths in files.items():
        _load(library, name, paths)
    return {
        "point": partial(_point, library),
        "bars, one symbol": partial(_bars, library, [SYMBOL]),
        "bars, all symbols": partial(_bars, library, SYMBOLS),
        "taq": partial(_taq, library),
    }


def summed(frame: pd.DataFrame) -> Sum:
    """What an answer is compared by; sums of whole numbers are exact in floats of this size."""
    volume = frame["volume" if "volume" in frame else "quantity"]
    return Sum(len(frame), int(volume.sum()))


def _load(library: Library, name: str, paths: list[str]) -> None:
    """Symbol by symbol: of the files, which are sorted by it, only its row groups are read."""
    rows = ds.dataset(paths, format="parquet")
    for symbol in SYMBOLS:
        table = rows.to_table(columns=list(COLUMNS[name]), filter=pc.field("symbol") == symbol)
        table = table.drop_columns(["symbol"]).sort_by([(column, "ascending") for column in ORDER])
        for amount in set(AMOUNTS) & set(table.column_names):
            at = table.column_names.index(amount)
            table = table.set_column(at, amount, table[amount].cast(pa.float64()))
        frame = table.to_pandas()
        frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
        library.write(f"{name}/{symbol}", frame.set_index("timestamp"))


def _point(library: Library) -> pd.DataFrame:
    found = library.read(f"trades/{SYMBOL}", date_range=_range(START_US, END_US)).data.head(POINT_ROWS)
    return found.assign(symbol=SYMBOL)


def _bars(library: Library, symbols: list[str]) -> pd.DataFrame:
    """VWAP from a column that is multiplied first, divided in pandas."""
    query = QueryBuilder()
    query = query.apply("notional", query["price"] * query["quantity"]).resample("1min").agg(AGGREGATES)
    asked = [ReadRequest(f"trades/{symbol}", query_builder=query) for symbol in symbols]
    bars = pd.concat({n: one.data for n, one in zip(symbols, library.read_batch(asked), strict=True)})
    # Minutes without a trade are there with zero trades: others have none.
    bars = bars[bars["trades"] > 0]
    return bars.assign(vwap=bars["notional"] / bars["volume"])


def _taq(library: Library) -> pd.DataFrame:
    """ArcticDB has no as-of join: pandas joins what it reads."""
    day = _range(TAQ_START_US, TAQ_END_US)
    trades, quotes = (library.read(f"{name}/{SYMBOL}", date_range=day).data for name in COLUMNS)
    quotes = quotes.drop(columns=["sequence", "partition", "offset"])
    found = pd.merge_asof(
        trades, quotes.assign(quote_timestamp=quotes.index), left_index=True, right_index=True
    )
    return found.assign(
        mid=(found["bid_price"] + found["ask_price"]) / 2, spread=found["ask_price"] - found["bid_price"]
    )


def _range(start_us: int, end_us: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    """A range without its end: ArcticDB's has it."""
    return pd.Timestamp(start_us, unit="us"), pd.Timestamp(end_us - 1, unit="us")
