"""Records of a batch, put next to the others of their key without losing their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from k2app.market.sequence_flags import Bools, Int32s, Int64s

RADIX_GROUPS = 1 << 16
"""Up to so many groups numpy sorts stably by radix (16 bits), in linear time; beyond, by merging."""

DENSE_CODES = 1 << 16
"""Codes up to which counting them is cheap whatever the number of rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What the check needs of records, one element per record, in offset order.

    Attributes
    ----------
    symbol
        string, or dictionary of string; no nulls.
    scope
        int32[n]: trading date in days since 1970-01-01, or 0 where the rule is continuous.
    sequence, has_sequence
        int64[n], bool[n]: the number, of any value where there is none.
    timestamp_us
        int64[n]: event time, microseconds since 1970-01-01 UTC.
    """

    symbol: pa.Array
    scope: Int32s
    sequence: Int64s
    has_sequence: Bools
    timestamp_us: Int64s

    def __post_init__(self) -> None:
        columns = (self.scope, self.sequence, self.has_sequence, self.timestamp_us)
        if any(len(column) != len(self.symbol) for column in columns) or self.symbol.null_count:
            raise ValueError("arrivals take columns of one length, and a symbol in every row")

    def __len__(self) -> int:
        return len(self.symbol)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Sequenced records by key: g keys, m records; a position is a place in this order.

    Attributes
    ----------
    order
        int64[m]: row of the batch by position; ascending within a group.
    starts, sizes
        int64[g] each: a group's first position and its number of records, at least 1.
    symbols, scopes
        string[g], int32[g]: the group's key; distinct.
    sequence, timestamp_us
        int64[m] each: by position.
    """

    order: Int64s
    starts: Int64s
    sizes: Int64s
    symbols: pa.StringArray
    scopes: Int32s
    sequence: Int64s
    timestamp_us: Int64s

    @property
    def lasts(self) -> Int64s:
        """int64[g]: a group's last position."""
        last: Int64s = self.starts + self.sizes - 1
        return last


def group(arrivals: Arrivals) -> Groups:
    """Put the records that have a sequence next to the others of their key."""
    symbols, symbol_codes = _encoded(arrivals.symbol)
    rows = None if arrivals.has_sequence.all() else np.flatnonzero(arrivals.has_sequence)
    scope = arrivals.scope
    if rows is not None:
        symbol_codes, scope = symbol_codes[rows], scope[rows]
    codes, group_symbols, group_scopes = _group_codes(symbol_codes, scope)
    sizes = np.bincount(codes, minlength=len(group_symbols))
    narrow = codes.astype(np.uint16) if len(sizes) <= RADIX_GROUPS else codes
    order = np.argsort(narrow, kind="stable")
    if rows is not None:
        order = rows[order]
    return Groups(
        order,
        np.cumsum(sizes) - sizes,
        sizes,
        symbols.take(pa.array(group_symbols)),
        group_scopes,
        arrivals.sequence[order],
        arrivals.timestamp_us[order],
    )


def _encoded(symbol: pa.Array) -> tuple[pa.StringArray, Int64s]:
    """Distinct symbols, and for each record which one it has."""
    encoded = symbol if pa.types.is_dictionary(symbol.type) else symbol.dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    # Another's dictionary may repeat a value.
    distinct = encoded.dictionary.cast(pa.string()).dictionary_encode()
    places = distinct.indices.to_numpy()
    return distinct.dictionary, places[codes]


def _group_codes(symbol_codes: Int64s, scope: Int32s) -> tuple[Int64s, Int64s, Int32s]:
    """Number the (symbol, scope) pairs that occur.

    Returns
    -------
    int64[m], int64[g], int32[g]
        Group of each record; symbol code and scope of each group.
    """
    if not len(scope):
        return symbol_codes.astype(np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32)
    lowest = int(scope.min())
    span = int(scope.max()) - lowest + 1
    pairs = symbol_codes.astype(np.int64) * span + (scope.astype(np.int64) - lowest)
    present, codes = _renumbered(pairs)
    return codes, present // span, (present % span + lowest).astype(np.int32)


def _renumbered(pairs: Int64s) -> tuple[Int64s, Int64s]:
    """Distinct values, ascending, and for each element which one it is."""
    size = int(pairs.max()) + 1
    if size > max(DENSE_CODES, len(pairs)):
        present, codes = np.unique(pairs, return_inverse=True)
        return present, codes
    present = np.flatnonzero(np.bincount(pairs, minlength=size))
    place = np.zeros(size, np.int64)
    place[present] = np.arange(len(present))
    return present, place[pairs]
