"""An Arrow record batch to Confluent-framed Avro messages, the mirror of `decode`.

Every field becomes a few binary arrays (`_parts`: a branch, a length, the bytes), one value per row; one Arrow
kernel then joins a row's parts. Strings are not touched before that. The bytes are those that fastavro's
schemaless_writer writes: one block per array or map, its count positive.

Source: Confluent wire format; Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from k2app.avro import int128
from k2app.avro.conform import check_keys, conform
from k2app.avro.cursor import Ints, Mask
from k2app.avro.schema import Schema
from k2app.avro.types import Array, AvroType, Decimal, Enum, Fixed, Map, Nullable, Primitive, unwrap
from k2app.errors import OperatorError, RecordError

SLICE_ROWS: Final = 16_384
"""Records put together at once: a column's bytes stay in a core's cache."""
Octets = npt.NDArray[np.uint8]
_INTEGERS: Final = {8: pa.int8(), 32: pa.int32(), 64: pa.int64()}
_SEVEN_BITS: Final = np.uint64(0x7F)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Message i is data[offsets[i]:offsets[i + 1]]; `offsets` (int64) has one more than there are messages."""

    data: Octets
    offsets: Ints


def encode(batch: Any, schema: Schema, schema_id: int) -> Encoded:
    """Encode every row.

    Parameters
    ----------
    batch
        A RecordBatch, or a Table (its chunks are joined), with exactly the schema's fields, in any order, in the
        types of `arrow_schema(schema)` or ones that become them without loss (`conform`).
    schema_id
        Goes into every message's header.

    Raises
    ------
    RecordError
        A value does not fit: null where there must be one, an unknown symbol, too many digits. Names the field
        and the first such row of the batch.
    OperatorError
        A column is missing, not in the schema, or of another type; or a message exceeds 2 GiB.
    """
    _check_names(batch.schema.names, [field.name for field in schema.fields])
    columns = [_column(batch, field.name) for field in schema.fields]
    header = b"\0" + schema_id.to_bytes(4, "big")
    slices = [_slice(columns, schema, header, start) for start in range(0, batch.num_rows, SLICE_ROWS)]
    lengths = [np.zeros(1, np.int64), *(np.diff(offsets) for _, offsets in slices)]
    data = np.concatenate([np.zeros(0, np.uint8), *(data for data, _ in slices)])
    return Encoded(data, np.cumsum(np.concatenate(lengths), dtype=np.int64))


def _check_names(columns: list[str], fields: list[str]) -> None:
    if sorted(columns) != sorted(fields):
        missing, unknown = set(fields) - set(columns), set(columns) - set(fields)
        raise OperatorError(f"columns {columns}: missing {sorted(missing)}, not fields {sorted(unknown)}")


def _column(batch: Any, name: str) -> Any:
    column = batch.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _slice(columns: list[Any], schema: Schema, header: bytes, start: int) -> tuple[Octets, Ints]:
    """The messages of some rows: bytes, and where each starts and the last ends."""
    arrays = [column.slice(start, SLICE_ROWS) for column in columns]
    parts = [_repeated(header, np.ones(len(arrays[0]), np.bool_))]
    for field, array in zip(schema.fields, arrays, strict=True):
        try:
            parts += _parts(array, field.type, field.name)
        except RecordError as error:
            row = _first_failing(array, field.type, field.name)
            why = _refusal(array.slice(row, 1), field.type, field.name)
            raise RecordError(f"row {start + row}, {why}") from error
    return _join(parts)


def _first_failing(array: Any, kind: AvroType, path: str) -> int:
    """The first row that cannot be encoded, found by halving; there is one."""
    low, high = 0, len(array) - 1
    while low < high:
        middle = (low + high) // 2
        if _refusal(array.slice(low, middle + 1 - low), kind, path):
            high = middle
        else:
            low = middle + 1
    return low


def _refusal(array: Any, kind: AvroType, path: str) -> str:
    """Why these values cannot be encoded; nothing if they can."""
    try:
        _parts(array, kind, path)
    except RecordError as error:
        return str(error)
    return ""


def _parts(array: Any, kind: AvroType, path: str) -> list[Any]:
    """The binary arrays that make up each row's value; nothing stands for a row that has no part."""
    array = conform(array, kind, path)
    inner = unwrap(kind)
    if not isinstance(kind, Nullable):
        return _values(array, inner, np.ones(len(array), np.bool_), path)
    present: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    branch = np.where(present, 2 * (1 - kind.null_branch), 2 * kind.null_branch).astype(np.uint8)
    parts = [_rows_of_width(branch.reshape(-1, 1), np.ones_like(present))]
    return [*parts, *_values(array, inner, present, path)] if present.any() else parts


def _values(array: Any, kind: AvroType, present: Mask, path: str) -> list[Any]:  # noqa: PLR0911 - one per type
    """The parts of the rows that are present; the others get none."""
    match kind:
        case Primitive("null"):
            return [_repeated(b"", present)]
        case Primitive("boolean" | "float" | "double"):
            numbers = array.cast(pa.uint8()) if kind.name == "boolean" else array
            values = np.ascontiguousarray(numbers.fill_null(0).to_numpy())
            return [_rows_of_width(values.view(np.uint8).reshape(len(values), values.itemsize), present)]
        case Primitive("int" | "long") | Enum():
            return [_varints(_integers(array), present)]
        case Primitive():
            octets = array.cast(pa.binary())
            return [_varints(_integers(pc.binary_length(octets)), present), octets]
        case Fixed():
            return [array.cast(pa.binary())]
        case Decimal():
            return _decimals(array, kind, present)
        case Array() | Map():
            return _lists(array, kind, present, path)
    raise OperatorError(f"field {path}: {kind} cannot stand here")


def _integers(array: Any) -> Ints:
    """The numbers beneath any column of integers or times, 0 where it is null."""
    numbers: Ints = array.view(_INTEGERS[array.type.bit_width]).fill_null(0).to_numpy()
    return numbers.astype(np.int64, copy=False)


def _decimals(array: Any, kind: Decimal, present: Mask) -> list[Any]:
    pair = int128.from_arrow(array)
    octets = int128.to_bytes(pair)
    if kind.size is None:
        lengths = int128.byte_lengths(pair) * present
        tail = np.arange(int128.MAX_BYTES) >= int128.MAX_BYTES - lengths[:, None]
        return [_varints(lengths, present), _rows(octets[tail], lengths)]
    sign = octets[:, :1].view(np.int8) >> 7
    wide = np.repeat(sign.view(np.uint8), max(kind.size - int128.MAX_BYTES, 0), axis=1)
    return [_rows_of_width(np.hstack([wide, octets[:, -kind.size :]]), present)]


def _lists(array: Any, kind: Array | Map, present: Mask, path: str) -> list[Any]:
    """A count, the items, and a count of none; an empty list is only the last."""
    if array.null_count:
        array = array.take(pa.array(np.arange(len(array))))  # leaves nothing behind a null
    offsets = array.offsets.to_numpy().astype(np.int64)
    counts = np.diff(offsets)
    children = _children(array, kind, offsets)
    if isinstance(kind, Map):
        check_keys(children[0][0], counts, array, path)
    data, ends = _join([part for child, inner in children for part in _parts(child, inner, f"{path}[]")])
    items = _rows(data, np.diff(ends[offsets - offsets[0]]))
    return [_varints(counts, present), items, _repeated(b"\0", counts > 0)]


def _children(array: Any, kind: Array | Map, offsets: Ints) -> list[tuple[Any, AvroType]]:
    """The items of all rows, or the keys and values, with their types."""
    start, length = int(offsets[0]), int(offsets[-1] - offsets[0])
    if isinstance(kind, Array):
        return [(array.values.slice(start, length), kind.items)]
    keys, values = array.keys.slice(start, length), array.items.slice(start, length)
    return [(keys, Primitive("string")), (values, kind.values)]


def _varints(values: Ints, present: Mask) -> Any:
    """Zigzag varints of the rows that are present."""
    bits = ((values << 1) ^ (values >> 63)).view(np.uint64)
    lengths = np.ones(len(bits), np.int64)
    columns = [bits]
    while (columns[-1] > _SEVEN_BITS).any():
        columns.append(columns[-1] >> np.uint64(7))
        lengths += columns[-1] > 0
    if len(columns) == 1:
        return _rows_of_width(bits.astype(np.uint8).reshape(-1, 1), present)
    octets = np.empty((len(bits), len(columns)), np.uint8)
    for k, column in enumerate(columns):
        octets[:, k] = column | np.uint64(0x80)
    last = lengths - 1
    octets[np.arange(len(bits)), last] &= 0x7F
    lengths *= present
    return _rows(octets[np.arange(len(columns)) < lengths[:, None]], lengths)


def _repeated(octets: bytes, present: Mask) -> Any:
    """The same bytes in every row that is present."""
    lengths = present * np.int64(len(octets))
    return _rows(np.tile(np.frombuffer(octets, np.uint8), int(present.sum())), lengths)


def _rows_of_width(octets: Octets, present: Mask) -> Any:
    """A row of bytes for each row that is present; `octets` has one for all."""
    if not present.all():
        octets = octets[present]
    return _rows(octets, present * np.int64(octets.shape[1]))


def _rows(data: Octets, lengths: Ints) -> Any:
    """A binary array over bytes that lie side by side."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)


def _join(parts: list[Any]) -> tuple[Octets, Ints]:
    """Put each row's parts together: the bytes, and where each row starts and the last ends."""
    try:
        joined = pc.binary_join_element_wise(*parts, b"", null_handling="replace", null_replacement=b"")
    except pa.ArrowException as error:
        raise OperatorError(
            f"{len(parts[0])} messages exceed 2 GiB ({error}): encode fewer at once"
        ) from error
    if not len(joined):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = joined.buffers()
    ends = np.frombuffer(offsets, np.int32)[: len(joined) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8)[: ends[-1]], ends
