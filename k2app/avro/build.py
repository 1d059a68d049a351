"""Turn a walked column into an Arrow array of the reader's type, and fail the records whose value does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from k2app.avro import int128
from k2app.avro.cursor import Faults, Ints, Mask, Source
from k2app.avro.types import (
    MISSING,
    Array,
    AvroType,
    Decimal,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    arrow_type,
    is_nullable,
    unwrap,
)
from k2app.avro.walk import Column

_BEYOND: Final = "decimal beyond its precision in field {}"
_NUMBERS: Final = {
    "int": np.dtype(np.int32),
    "long": np.dtype(np.int64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds the columns of one slice of records."""

    source: Source
    faults: Faults

    def build(self, column: Column, writer: AvroType, reader: AvroType, path: str) -> Any:  # noqa: PLR0911 - one per type
        """One value per row, rows of failed records included (what stands there means nothing).

        `resolve.project` has found `writer` readable as `reader`.
        """
        if not len(column.values):
            return constant(reader, None, 0)
        if column.valid is not None and not is_nullable(reader):
            self._fail(column, ~column.valid, f"null in field {path}, which the reader must have")
        writer, reader = unwrap(writer), unwrap(reader)
        match writer, reader:
            case Primitive("null"), _:
                return constant(reader, None, len(column.values))
            case Enum(), Enum():
                return self._enum(column, writer, reader, path)
            case Decimal(), Decimal():
                return self._decimal(column, writer, reader, path)
            case Fixed(), Fixed():
                return self._fixed(column, reader)
            case (Primitive("string" | "bytes"), _):
                return self._octets(column, (writer, reader), path)
            case (Array(inner), Array(wanted)):
                return self._array_of(column, (inner, wanted), arrow_type(reader), path)
            case (Map(inner), Map(wanted)):
                return self._map_of(column, (inner, wanted), arrow_type(reader), path)
        return _number(column, writer, reader)

    def _fail(self, column: Column, bad: Mask, reason: str) -> None:
        """Fail the records of these rows; callers leave nulls out."""
        if bad.any():
            self.faults.add(column.record[bad], reason)

    def _gather(self, starts: Ints, lengths: Ints) -> Any:
        """The bytes of all rows side by side, as an Arrow binary array without nulls."""
        rows = len(starts)
        # Every other range of these offsets is a value's; one take copies them out.
        bounds = np.empty(2 * rows + 1, np.int32)
        bounds[0:-1:2] = starts
        np.add(starts, lengths, out=bounds[1::2], casting="unsafe")
        bounds[-1] = self.source.park
        between = pa.Array.from_buffers(
            pa.binary(), 2 * rows, [None, pa.py_buffer(bounds), self.source.arrow]
        )
        return between.take(pa.array(np.arange(0, 2 * rows, 2, dtype=np.int32)))

    def _fixed(self, column: Column, reader: Fixed) -> Any:
        """Fixed bytes; a null takes its room too, in zeros."""
        gathered = self._gather(column.values, np.full(len(column.values), reader.size))
        return _array(arrow_type(reader), column, gathered.buffers()[2:])

    def _octets(self, column: Column, kinds: tuple[AvroType, AvroType], path: str) -> Any:
        """Strings and bytes; what either side calls a string must be UTF-8."""
        gathered = self._gather(column.values, _lengths(column))
        if Primitive("string") in kinds:
            self._check_utf8(column, gathered, path)
        return _array(arrow_type(kinds[1]), column, gathered.buffers()[1:])

    def _check_utf8(self, column: Column, gathered: Any, path: str) -> None:
        rows = _not_utf8(gathered.view(pa.string()), 0)
        if rows:
            self.faults.add(column.record[rows], f"invalid UTF-8 in field {path}")

    def _enum(self, column: Column, writer: Enum, reader: Enum, path: str) -> Any:
        """Symbols by name; one that the reader does not know becomes its default, if it has one."""
        known = {symbol: place for place, symbol in enumerate(reader.symbols)}
        fallback = -1 if reader.default is None else known[reader.default]
        places = np.array([known.get(symbol, fallback) for symbol in writer.symbols], np.int8)
        indices = places[column.values]
        unknown = indices < 0
        if unknown.any():
            bad = unknown if column.valid is None else unknown & column.valid
            self._fail(column, bad, f"unknown symbol in field {path}")
            indices = np.where(unknown, np.int8(0), indices)
        return pa.DictionaryArray.from_arrays(
            _array(pa.int8(), column, [pa.py_buffer(indices)]), symbols(reader)
        )

    def _decimal(self, column: Column, writer: Decimal, reader: Decimal, path: str) -> Any:
        """Decimals, rescaled exactly where the reader's scale is larger."""
        pair = self._int128(column, writer, path)
        growth = reader.scale - writer.scale
        bad = ~int128.within(pair, min(writer.precision, reader.precision - growth))
        if bad.any():
            self._fail(column, bad, _BEYOND.format(path))
            pair = np.where(bad, np.uint64(0), pair[0]), np.where(bad, 0, pair[1])
        array = _array(pa.decimal128(writer.precision, writer.scale), column, [int128.to_buffer(pair)])
        return array if array.type == arrow_type(reader) else array.cast(arrow_type(reader))

    def _int128(self, column: Column, writer: Decimal, path: str) -> int128.Pair:
        """The unscaled values, 0 at nulls; of a long fixed, the bytes beyond int128 must repeat the sign."""
        starts, lengths = column.values, _lengths(column)
        extra = (writer.size or 0) - int128.MAX_BYTES
        if extra > 0:
            bad = ~int128.sign_only(self.source, starts, extra)
            self._fail(column, bad, _BEYOND.format(path))
            starts, lengths = starts + extra, np.minimum(lengths, int128.MAX_BYTES)
        return int128.from_bytes(self.source, starts, lengths)

    def _array_of(self, column: Column, kinds: tuple[AvroType, AvroType], into: Any, path: str) -> Any:
        items = self.build(column.children[0], *kinds, f"{path}[]")
        return _array(into, column, [_offsets(column)], [items])

    def _map_of(self, column: Column, kinds: tuple[AvroType, AvroType], into: Any, path: str) -> Any:
        """Pairs in the order they came; a key that stands twice fails its record."""
        string = Primitive("string")
        keys = self.build(column.children[0], string, string, f"{path} (key)")
        self._fail(column, repeated_keys(keys, column.values), f"key stands twice in field {path}")
        values = self.build(column.children[1], *kinds, f"{path}{{}}")
        pairs = pa.StructArray.from_arrays([keys, values], fields=[into.key_field, into.item_field])
        return _array(into, column, [_offsets(column)], [pairs])


def repeated_keys(keys: Any, counts: Ints) -> Mask:
    """Which rows have a key twice, `counts` keys standing in each."""
    bad = np.zeros(len(counts), np.bool_)
    if int(counts.max(initial=0)) > 1:
        codes = keys.dictionary_encode()
        rows = np.repeat(np.arange(len(counts)), counts)
        pairs = rows * len(codes.dictionary) + codes.indices.to_numpy()
        seen, times = np.unique(pairs, return_counts=True)
        bad[seen[times > 1] // max(len(codes.dictionary), 1)] = True
    return bad


def constant(kind: AvroType, value: Any, rows: int) -> Any:
    """The same value in every row; `value` as `Field.default` holds it."""
    wanted, inner = arrow_type(kind), unwrap(kind)
    if isinstance(inner, Enum):
        index = None if value is None else inner.symbols.index(value)
        return pa.DictionaryArray.from_arrays(_repeat(pa.int8(), index, rows), symbols(inner))
    return _repeat(wanted, value, rows)


def _repeat(wanted: Any, value: Any, rows: int) -> Any:
    """The same value in every row of an array of an Arrow type."""
    if value is None:
        return pa.nulls(rows, wanted)
    return pa.array([value], wanted).take(pa.array(np.zeros(rows, np.int32)))


def default(field: Field, rows: int) -> Any:
    """A field that the writer does not have; without a default it is nullable, and null."""
    return constant(field.type, None if field.default is MISSING else field.default, rows)


def symbols(kind: Enum) -> Any:
    """The dictionary of an enum's column: all its symbols, in the schema's order."""
    return pa.array(kind.symbols, pa.string())


def _array(into: Any, column: Column, buffers: list[Any], children: list[Any] | None = None) -> Any:
    bitmap = None
    if column.valid is not None and not column.valid.all():
        bitmap = pa.py_buffer(np.packbits(column.valid, bitorder="little"))
    return pa.Array.from_buffers(into, len(column.values), [bitmap, *buffers], children=children)


def _offsets(column: Column) -> Any:
    offsets = np.zeros(len(column.values) + 1, np.int32)
    np.cumsum(column.values, out=offsets[1:])
    return pa.py_buffer(offsets)


def _lengths(column: Column) -> Ints:
    """The lengths of a column whose type has them."""
    return np.zeros(0, np.int64) if column.lengths is None else column.lengths


def _number(column: Column, writer: AvroType, reader: AvroType) -> Any:
    """Integers, floats and booleans, promoted; the temporal types are integers."""
    values = column.values
    if writer == Primitive("boolean"):
        return _array(pa.bool_(), column, [pa.py_buffer(np.packbits(values != 0, bitorder="little"))])
    match writer:
        case Primitive("float"):
            numbers: Any = values.astype(np.uint32).view(np.float32)
        case Primitive("double"):
            numbers = values.view(np.float64)
        case _:
            numbers = values
    into = _NUMBERS[reader.name] if isinstance(reader, Primitive) else numbers.dtype
    return _array(arrow_type(reader), column, [pa.py_buffer(numbers.astype(into, copy=False))])


def _not_utf8(strings: Any, first: int) -> list[int]:
    """The rows that are not UTF-8, found by halving; `first` is the number of the first row."""
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        if len(strings) == 1:
            return [first]
        half = len(strings) // 2
        return _not_utf8(strings.slice(0, half), first) + _not_utf8(strings.slice(half), first + half)
    return []
