"""Cells of a block to rows of the record's schema, and the rows that were refused with field and reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.load import json_cells, texts, times
from k2app.load.columns import Columns
from k2app.load.decimals import negative, read_decimals, read_integers, zero
from k2app.load.fields import Cell, Conditions, Date, Number, Text, Time
from k2app.load.parsed import Int64s, Parsed, mask, refuse
from k2app.load.records import ASSET_CLASSES, NO_SIDE, SIDES, TIME, record_schema
from k2app.load.shapes import QuotesFile
from k2app.market.exchanges import Exchange
from k2app.market.topics import DataType

QUANTITIES: Final = ("quantity", "bid_quantity", "ask_quantity")
"""Fields that are never below zero; prices may be (futures have been)."""

SIDES_OF_BOOK: Final = ("bid", "ask")

NANOSECONDS: Final = "timestamp_ns"
"""Attribute with the nanoseconds since 1970, where a source is finer than a microsecond."""


class Refused(NamedTuple):
    """Why a row is none."""

    field: str
    reason: str


@dataclass(frozen=True)
class Fixed:
    """What holds for every row of a load."""

    data_type: DataType
    exchange: Exchange
    load_id: str
    ingested_at_us: int
    symbol: str | None
    currency: str | None = None
    absent_when_zero: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """Rows of a block.

    Attributes
    ----------
    rows
        Table in the record's schema; those that were refused are left out.
    refused
        Row of the block -> why.
    ambiguous
        Rows whose local time came twice.
    """

    rows: Any
    refused: dict[int, Refused]
    ambiguous: int


@dataclass
class _Draft:
    """Columns so far; a row's first problem is the one that is told."""

    rows: int
    values: dict[str, Any] = field(default_factory=dict)
    refused: dict[int, Refused] = field(default_factory=dict)

    def put(self, name: str, parsed: Parsed) -> None:
        self.values[name] = parsed.values
        self.refuse(name, parsed.refused)

    def refuse(self, name: str, why: dict[int, str]) -> None:
        for row, reason in why.items():
            self.refused.setdefault(row, Refused(name, reason))


def build(cells: dict[str, Any], lines: Int64s, columns: Columns, fixed: Fixed) -> Built:
    """Read every field of every row.

    Parameters
    ----------
    cells
        Column -> string[n].
    lines
        int64[n], line of the file on which each row starts.

    Notes
    -----
    1. rows of another kind; 2. each field alone; 3. what must not be missing; 4. what must not be negative; 5. the
    two sides of a book; 6. defaults and what is the same in all rows. The first problem of a row is its reason.
    """
    draft = _Draft(len(lines))
    for column, values in columns.only.items():
        draft.refuse(column, texts.others(texts.said([cells[column]], ()), values))
    said = {name: _said(cells, cell) for name, cell in columns.fields.items()}
    ns, ambiguous = None, 0
    for name, cell in columns.fields.items():
        if isinstance(cell, Time):
            found = times.read_times(said[name], cell, fixed.exchange.time_zone)
            draft.put(name, found.parsed)
            ns, ambiguous = found.ns, found.ambiguous
        else:
            draft.put(name, _read(name, cell, said[name], fixed))
    _require(draft, said, fixed)
    for name in QUANTITIES:
        if name in draft.values:
            below = negative(draft.values[name])
            draft.refuse(name, refuse(said[name], below, "{!r} is below zero".format))
    if fixed.data_type is DataType.QUOTES:
        for side in SIDES_OF_BOOK:
            _side(draft, side, said, fixed)
    named = {name: cells[column] for name, column in columns.attributes.items()}
    if ns is not None:
        named[NANOSECONDS] = times.ns_text(ns, len(lines))
    draft.values["attributes"] = texts.attributes(named, len(lines))
    if columns.json_attributes is not None:
        packed = texts.said([cells[columns.json_attributes]], ())
        draft.put("attributes", json_cells.add_attributes(draft.values["attributes"], packed))
    _same_in_all(draft, lines, fixed)
    return Built(_table(draft, fixed), draft.refused, ambiguous)


def _said(cells: dict[str, Any], cell: Cell) -> Any:
    return texts.said([cells[column] for column in cell.column], cell.nulls)


def _read(name: str, cell: Cell, said: Any, fixed: Fixed) -> Parsed:
    match cell:
        case Number(scale=scale):
            return read_decimals(said, scale, record_schema(fixed.data_type).field(name).type)
        case Date():
            return times.read_dates(said, cell)
        case Conditions(separator=separator):
            return json_cells.read_conditions(said, separator)
        case Text(values=values):
            return _special(name, fixed)(said, values)
    return read_integers(said)


def _special(name: str, fixed: Fixed) -> Callable[[Any, dict[str, str]], Parsed]:
    exchange = fixed.exchange
    readers: dict[str, Callable[[Any, dict[str, str]], Parsed]] = {
        "side": lambda said, values: texts.read_enum(said, SIDES, values),
        "exchange": lambda said, values: texts.read_constant(said, values, exchange.name, "exchange"),
        "asset_class": lambda said, values: texts.read_constant(
            said, values, str(exchange.asset_class), "asset class"
        ),
    }
    return readers.get(name, texts.read_text)


def _require(draft: _Draft, said: dict[str, Any], fixed: Fixed) -> None:
    filled = ("exchange", "asset_class", "currency", "side", "conditions")
    for column in record_schema(fixed.data_type):
        if column.name in said and not column.nullable and column.name not in filled:
            missing = mask(pc.is_null(said[column.name]))
            draft.refuse(column.name, dict.fromkeys(np.flatnonzero(missing).tolist(), "missing"))


def _side(draft: _Draft, side: str, said: dict[str, Any], fixed: Fixed) -> None:
    """A side of the book is there with its price, or not at all."""
    price, quantity = f"{side}_price", f"{side}_quantity"
    if quantity not in draft.values:
        draft.values[quantity] = pa.nulls(draft.rows, draft.values[price].type)
    zeros = [zero(draft.values[f"{side}_{part}"]).fill_null(False) for part in fixed.absent_when_zero]
    absent = reduce(pc.or_, zeros, pc.is_null(draft.values[price]))
    told = reduce(pc.or_, zeros, pa.array(np.zeros(draft.rows, np.bool_)))
    nothing = pa.scalar(None, draft.values[price].type)
    if quantity in said:
        positive = pc.invert(zero(draft.values[quantity]).fill_null(True))
        # A price that was refused has its reason already; here it is one that the source left out.
        orphan = mask(pc.and_(pc.and_(pc.is_null(said[price]), positive), pc.invert(told)))
        draft.refuse(quantity, refuse(said[quantity], orphan, f"{{!r}} without {price}".format))
    draft.values[price] = pc.if_else(absent, nothing, draft.values[price])
    draft.values[quantity] = pc.if_else(absent, nothing, draft.values[quantity])


def _same_in_all(draft: _Draft, lines: Int64s, fixed: Fixed) -> None:
    rows, values, exchange = draft.rows, draft.values, fixed.exchange
    if fixed.symbol is not None:
        values["symbol"] = pa.repeat(fixed.symbol, rows)
    values["exchange"] = pa.repeat(exchange.name, rows)
    values["asset_class"] = texts.constant_enum(str(exchange.asset_class), ASSET_CLASSES, rows)
    currency = exchange.currency if fixed.currency is None else fixed.currency
    said = values.get("currency")
    values["currency"] = pa.repeat(currency, rows) if said is None else said.fill_null(currency)
    values["side"] = _sides(values.get("side"), rows)
    values.setdefault("conditions", texts.no_conditions(rows))
    values["ingested_at"] = pa.repeat(fixed.ingested_at_us, rows).cast(pa.int64()).cast(TIME)
    values["load_id"] = pa.repeat(fixed.load_id, rows)
    values["source_line"] = pa.array(lines, pa.int64())


def _sides(read: Any | None, rows: int) -> Any:
    unknown = texts.constant_enum(NO_SIDE, SIDES, rows)
    if read is None or read.null_count == 0:
        return unknown if read is None else read
    codes = read.indices.fill_null(pa.scalar(SIDES.index(NO_SIDE), pa.int8()))
    return pa.DictionaryArray.from_arrays(codes, read.dictionary)


def _table(draft: _Draft, fixed: Fixed) -> Any:
    schema = record_schema(fixed.data_type)
    keep = np.ones(draft.rows, np.bool_)
    keep[list(draft.refused)] = False
    columns = [draft.values.get(one.name, pa.nulls(draft.rows, one.type)) for one in schema]
    if draft.refused:
        columns = [column.filter(pa.array(keep)) for column in columns]
    return pa.table(columns, schema=schema)


def absent_when_zero(shape: object) -> tuple[str, ...]:
    """The rule of a profile for sides of a book that are not there; none for other data types."""
    return shape.absent_when_zero if isinstance(shape, QuotesFile) else ()
