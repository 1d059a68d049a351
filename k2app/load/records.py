"""The records that files are read into: the Arrow form of `schemas/*.avsc` (a test compares the two)."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from k2app.market.topics import AssetClass, DataType

DECIMAL: Final = pa.decimal128(18, 8)
"""Prices and quantities: 10 digits before the point, 8 after."""

TIME: Final = pa.timestamp("us", "UTC")

ENUM: Final = pa.dictionary(pa.int8(), pa.string())

CONDITIONS: Final = pa.list_(pa.string())

ATTRIBUTES: Final = pa.map_(pa.string(), pa.string())

ASSET_CLASSES: Final = tuple(str(one) for one in AssetClass)
"""Symbols of the Avro enum `AssetClass`."""

SIDES: Final = ("BUY", "SELL", "SELL_SHORT", "UNKNOWN")
"""Symbols of the Avro enum `Side`."""

NO_SIDE: Final = "UNKNOWN"
"""Side of a trade whose source does not say."""

_Column = tuple[str, Any, bool]
"""Name, Arrow type, nullable."""

_INSTRUMENT: tuple[_Column, ...] = (
    ("symbol", pa.string(), False),
    ("exchange", pa.string(), False),
    ("asset_class", ENUM, False),
)

_SOURCE: tuple[_Column, ...] = (
    ("ingested_at", TIME, False),
    ("load_id", pa.string(), True),
    ("source_line", pa.int64(), True),
    ("attributes", ATTRIBUTES, True),
)

_TRADE: tuple[_Column, ...] = (
    *_INSTRUMENT,
    ("timestamp", TIME, False),
    ("price", DECIMAL, False),
    ("quantity", DECIMAL, False),
    ("currency", pa.string(), False),
    ("side", ENUM, False),
    ("trade_id", pa.string(), True),
    ("conditions", CONDITIONS, False),
    ("sequence", pa.int64(), True),
    *_SOURCE,
)

_QUOTE: tuple[_Column, ...] = (
    *_INSTRUMENT,
    ("timestamp", TIME, False),
    ("bid_price", DECIMAL, True),
    ("bid_quantity", DECIMAL, True),
    ("ask_price", DECIMAL, True),
    ("ask_quantity", DECIMAL, True),
    ("currency", pa.string(), False),
    ("conditions", CONDITIONS, False),
    ("sequence", pa.int64(), True),
    *_SOURCE,
)

_REFERENCE: tuple[_Column, ...] = (
    ("company_id", pa.string(), False),
    *_INSTRUMENT,
    ("name", pa.string(), True),
    ("isin", pa.string(), True),
    ("currency", pa.string(), False),
    ("listed_from", pa.date32(), True),
    ("listed_to", pa.date32(), True),
    *_SOURCE,
)


def record_schema(data_type: DataType) -> Any:
    """Arrow schema of a data type's record, as `k2app.avro` decodes it: enums are dictionaries of strings."""
    columns = {DataType.TRADES: _TRADE, DataType.QUOTES: _QUOTE, DataType.REFERENCE_DATA: _REFERENCE}
    return pa.schema([pa.field(name, kind, nullable=null) for name, kind, null in columns[data_type]])
