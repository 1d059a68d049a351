"""Walk the records' bytes by the writer's schema: where each value stands, all rows at once.

A walk moves the cursor over one value per row and fails the records whose bytes do not make sense. It only
finds values; `build` turns them into Arrow.

Source: Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from k2app.avro import int128
from k2app.avro.cursor import Cursor, Ints, Mask, ranges, varint
from k2app.avro.types import Array, AvroType, Decimal, Enum, Fixed, Map, Nullable, Primitive

MAX_NULLS: Final = 65_536
"""Items of no bytes (nulls in arrays) in one record: their count is bounded by nothing else."""
_INT_RANGE: Final = (-(2**31), 2**31 - 1)
_FIXED_WIDTHS: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_STRING: Final = Primitive("string")


@dataclass(frozen=True, slots=True)
class Column:
    """Found values, one per row.

    `values` holds the number itself (booleans, integers, enum indices, the bits of floats), or where its bytes
    start, or how many items it has. `lengths`: of strings, bytes and decimals. `valid`: which rows are not null;
    a null row has value 0, or no bytes at the zeros. `children`: items in row order; a map has keys and values.
    `record`: the record of each row.
    """

    values: Ints
    record: Ints
    lengths: Ints | None = None
    valid: Mask | None = None
    children: tuple[Column, ...] = ()


def walk(cursor: Cursor, kind: AvroType, path: str) -> Column:  # noqa: PLR0911 - one per type
    """Move the cursor over one value of type `kind` per row; `path` names the field in reasons."""
    match kind:
        case Primitive("int" | "long" as name):
            return Column(_integers(cursor, name, path), cursor.record)
        case Primitive("null" | "boolean" | "float" | "double" as name):
            return Column(_bits(cursor, name, path), cursor.record)
        case Enum(symbols=symbols):
            values = varint(cursor, path)
            outside = _outside(values, len(symbols))
            cursor.refuse(outside, f"enum index out of range in field {path}")
            return Column(np.where(outside, 0, values), cursor.record)
        case Fixed(size=size) | Decimal(size=int(size)):
            lengths = np.full(len(cursor), size, np.int64)
            return Column(cursor.skip(size, path), cursor.record, lengths)
        case Decimal():
            return _octets(cursor, path, 1, int128.MAX_BYTES)
        case Primitive():
            return _octets(cursor, path)
        case Nullable():
            return _nullable(cursor, kind, path)
        case Array(items):
            return _blocks(cursor, (items,), (f"{path}[]",), path)
        case Map(values):
            return _blocks(cursor, (_STRING, values), (f"{path} (key)", f"{path}{{}}"), path)


def _integers(cursor: Cursor, name: str, path: str) -> Ints:
    values = varint(cursor, path)
    if name == "int":
        low, high = _INT_RANGE
        cursor.refuse((values < low) | (values > high), f"int beyond 32 bits in field {path}")
    return values


def _bits(cursor: Cursor, name: str, path: str) -> Ints:
    """Values of fixed width up to a word, little-endian, as they stand."""
    width = _FIXED_WIDTHS[name]
    start = cursor.skip(width, path)
    bits = cursor.source.words[start] & np.uint64(2 ** (8 * width) - 1)
    if name == "boolean":
        cursor.refuse(bits > 1, f"boolean neither 0 nor 1 in field {path}")
    return bits.view(np.int64)


def _octets(cursor: Cursor, path: str, least: int = 0, most: int | None = None) -> Column:
    """A length, then as many bytes."""
    lengths = varint(cursor, path)
    cursor.refuse(lengths < 0, f"negative length in field {path}")
    start = cursor.skip(lengths, path)
    if most is not None:
        bad = (lengths < least) | (lengths > most)
        cursor.refuse(bad, f"decimal not of {least} to {most} bytes in field {path}")
    if cursor.faults:
        failed = cursor.faults.failed[cursor.record]
        start, lengths = np.where(failed, cursor.source.park, start), np.where(failed, 0, lengths)
    return Column(start, cursor.record, lengths)


def _outside(values: Ints, count: int) -> Mask:
    """Which values are not within 0..count-1."""
    return values.view(np.uint64) >= np.uint64(count)


def _nullable(cursor: Cursor, kind: Nullable, path: str) -> Column:
    """A branch, then the value of the rows that have one."""
    branch = varint(cursor, path)
    cursor.refuse(_outside(branch, 2), f"union branch out of range in field {path}")
    valid = branch == 1 - kind.null_branch
    rows = np.flatnonzero(valid)
    if len(rows) == len(valid):
        return walk(cursor, kind.inner, path)
    picked = cursor.pick(rows)
    found = walk(picked, kind.inner, path)
    cursor.put(rows, picked)
    return _spread(found, rows, valid, cursor)


def _spread(found: Column, rows: Ints, valid: Mask, cursor: Cursor) -> Column:
    """A column of all the cursor's rows from that of some; the others are null."""
    values = np.full(len(cursor), 0 if found.lengths is None else cursor.source.park, np.int64)
    values[rows] = found.values
    lengths = None
    if found.lengths is not None:
        lengths = np.zeros(len(cursor), np.int64)
        lengths[rows] = found.lengths
    return Column(values, cursor.record, lengths, valid, found.children)


def _blocks(cursor: Cursor, kinds: tuple[AvroType, ...], paths: tuple[str, ...], path: str) -> Column:
    """Items in blocks, up to a block of none; a negative count is followed by the block's size in bytes."""
    pieces: list[tuple[Ints, list[Column]]] = []
    rows: Ints = np.arange(len(cursor))
    while rows.size:
        part = cursor.pick(rows)
        counts, sizes = _block_head(part, kinds, path)
        start = part.at.copy()
        pieces += [(rows[chosen], found) for chosen, found in _items(part, counts, kinds, paths)]
        part.refuse((sizes >= 0) & (part.at - start != sizes), f"block size is wrong in field {path}")
        cursor.put(rows, part)
        rows = rows[(counts > 0) & ~cursor.faults.failed[part.record]]
    return _in_row_order(pieces, cursor, len(kinds))


def _block_head(cursor: Cursor, kinds: tuple[AvroType, ...], path: str) -> tuple[Ints, Ints]:
    """Item counts (0: no more blocks) and block sizes in bytes (-1: not given)."""
    counts = varint(cursor, path)
    sizes = np.full(len(counts), -1, np.int64)
    if counts.any():
        sized = np.flatnonzero(counts < 0)
        if sized.size:
            picked = cursor.pick(sized)
            sizes[sized] = varint(picked, path)
            cursor.put(sized, picked)
            cursor.refuse((counts < 0) & (sizes < 0), f"negative length in field {path}")
            counts = np.where(counts < 0, -counts, counts)
        _bound_counts(cursor, counts, kinds, path)
        counts[cursor.faults.failed[cursor.record]] = 0
    return counts, sizes


def _bound_counts(cursor: Cursor, counts: Ints, kinds: tuple[AvroType, ...], path: str) -> None:
    """Refuse counts that cannot be true before anything of their size is made. The least int64 stays negative."""
    if kinds != (Primitive("null"),):
        least = sum(map(_least_bytes, kinds))
        room = (cursor.stop - cursor.at) // least
        cursor.refuse((counts < 0) | (counts > room), f"truncated at field {path}")
        return
    cursor.refuse((counts < 0) | (counts > MAX_NULLS), f"too many nulls in field {path}")
    np.add.at(cursor.nulls, cursor.record, np.where(cursor.faults.failed[cursor.record], 0, counts))
    cursor.refuse(cursor.nulls[cursor.record] > MAX_NULLS, f"too many nulls in field {path}")


def _least_bytes(kind: AvroType) -> int:
    """The fewest bytes a value takes."""
    match kind:
        case Fixed(size=size) | Decimal(size=int(size)):
            return size
        case Primitive(name):
            return _FIXED_WIDTHS.get(name, 1)
        case _:
            return 1


def _width(kinds: tuple[AvroType, ...]) -> int | None:
    """The bytes of an item, if every item has the same."""
    match kinds:
        case (Fixed() | Decimal(size=int()) as kind,):
            return _least_bytes(kind)
        case (Primitive(name),) if name in _FIXED_WIDTHS:
            return _FIXED_WIDTHS[name]
    return None


def _items(
    cursor: Cursor, counts: Ints, kinds: tuple[AvroType, ...], paths: tuple[str, ...]
) -> list[tuple[Ints, list[Column]]]:
    """One block's items as (rows, what was found), the items of a row in order.

    Items of one width are found at once; of others, item k of all rows in round k. A round costs about 20 µs
    however few rows are left, so one message of 100,000 strings takes seconds: long, and alone, and bounded by
    the size of a message.
    """
    width = _width(kinds)
    if width is not None:
        return [_items_of_width(cursor, counts, kinds[0], paths[0], width)]
    pieces = []
    rows = np.flatnonzero(counts)
    item = 0
    while rows.size:
        picked = cursor.pick(rows)
        pieces.append((rows, [walk(picked, kind, path) for kind, path in zip(kinds, paths, strict=True)]))
        cursor.put(rows, picked)
        item += 1
        rows = rows[(counts[rows] > item) & ~cursor.faults.failed[cursor.record[rows]]]
    return pieces


def _items_of_width(
    cursor: Cursor, counts: Ints, kind: AvroType, path: str, width: int
) -> tuple[Ints, list[Column]]:
    """Items whose places are known beforehand, all at once; the counts are known to fit."""
    rows = np.repeat(np.arange(len(counts)), counts)
    picked = cursor.pick(rows)
    picked.at += ranges(np.zeros_like(counts), counts) * width
    found = walk(picked, kind, path)
    cursor.skip(counts * width, path)
    cursor.park()
    return rows, [found]


def _in_row_order(pieces: list[tuple[Ints, list[Column]]], cursor: Cursor, kinds: int) -> Column:
    """Put the items of a row side by side; pieces have them in order already."""
    if not pieces:
        none: Ints = np.zeros(0, np.int64)
        empty = Column(none, none, none, np.zeros(0, np.bool_))
        return Column(np.zeros(len(cursor), np.int64), cursor.record, None, None, (empty,) * kinds)
    rows = np.concatenate([rows for rows, _ in pieces])
    order = np.argsort(rows, kind="stable")
    children = tuple(_take(_concat([found[k] for _, found in pieces]), order) for k in range(kinds))
    return Column(np.bincount(rows, minlength=len(cursor)), cursor.record, None, None, children)


def _concat(columns: list[Column]) -> Column:
    """Columns of one type, one after the other."""
    first = columns[0]
    if len(columns) == 1:
        return first
    lengths = [column.lengths for column in columns if column.lengths is not None]
    valid = [np.ones(len(c.values), np.bool_) if c.valid is None else c.valid for c in columns]
    children = zip(*(column.children for column in columns), strict=True)
    return Column(
        np.concatenate([column.values for column in columns]),
        np.concatenate([column.record for column in columns]),
        np.concatenate(lengths) if len(lengths) == len(columns) else None,
        None if all(column.valid is None for column in columns) else np.concatenate(valid),
        tuple(_concat(list(child)) for child in children),
    )


def _take(column: Column, order: Ints) -> Column:
    """The rows of a column in another order, their items with them."""
    lengths = None if column.lengths is None else column.lengths[order]
    valid = None if column.valid is None else column.valid[order]
    children = column.children
    if children:
        item_order = ranges((np.cumsum(column.values) - column.values)[order], column.values[order])
        children = tuple(_take(child, item_order) for child in children)
    return Column(column.values[order], column.record[order], lengths, valid, children)
