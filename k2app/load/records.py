"""The records that files are read into: the Arrow form of the newest `schemas/*.avsc`."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

import schemas
from k2app.avro.schema import arrow_schema, parse
from k2app.market.topics import AssetClass, DataType

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

_SCHEMAS: Final = {one: arrow_schema(parse(schemas.newest(one.record))) for one in DataType}


def record_schema(data_type: DataType) -> Any:
    """Arrow schema of a data type's record, as `k2app.avro` decodes it: enums are dictionaries of strings.

    It is that of the newest version: a number with more digits than it holds is refused.
    """
    return _SCHEMAS[data_type]
