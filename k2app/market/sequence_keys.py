"""The keys of sequence states, (symbol, scope), found and added a column at a time."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from k2app.market.sequence_flags import Int32s, Int64s

UInt64s = npt.NDArray[np.uint64]

SEPARATOR = "|"
"""Between scope and symbol in a key's text. The scope comes first: it is a number, a symbol may hold it."""


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Distinct (symbol, scope) pairs; a key's index is its place in `symbol_ids` and `scopes`.

    Attributes
    ----------
    symbols, symbol_hashes
        string[m] and uint64[m]: distinct symbols, and 64 bits of each one's BLAKE2b.
    symbol_ids, scopes
        int32[n] each: the keys.
    sorted_pairs, order
        int64[n] each: the keys as one number, ascending, and the index of each.
    """

    symbols: pa.StringArray
    symbol_hashes: UInt64s
    symbol_ids: Int32s
    scopes: Int32s
    sorted_pairs: Int64s
    order: Int64s

    def __len__(self) -> int:
        return len(self.symbol_ids)

    @property
    def hashes(self) -> UInt64s:
        """uint64[n]: hash of each key's symbol."""
        return self.symbol_hashes[self.symbol_ids]

    def text(self, index: int) -> str:
        """A key as text: `{scope}|{symbol}`."""
        return f"{self.scopes[index]}{SEPARATOR}{self.symbols[int(self.symbol_ids[index])].as_py()}"

    def find(self, symbols: pa.StringArray, scopes: Int32s) -> Int64s:
        """Index of each key, -1 where it is not one; int64[g]."""
        ids = pc.fill_null(pc.index_in(symbols, value_set=self.symbols), -1).to_numpy()
        return self._find_pairs(_pairs(ids, scopes))

    def locate(self, symbols: pa.StringArray, scopes: Int32s) -> tuple[Keys, Int64s]:
        """Find distinct keys, adding those that are new behind the others.

        Returns
        -------
        Keys
            These ones and the new ones; the indices of the old ones stay.
        int64[g]
            Index of each key asked for.
        """
        known, ids = self._with_symbols(symbols)
        pairs = _pairs(ids, scopes)
        index = known._find_pairs(pairs)  # noqa: SLF001 - a Keys too
        new = np.flatnonzero(index < 0)
        if not len(new):
            return known, index
        index[new] = np.arange(len(self), len(self) + len(new))
        return known._with_keys(ids[new], scopes[new], pairs[new]), index  # noqa: SLF001 - a Keys too

    def take(self, indices: Int64s) -> Keys:
        """Only these keys, in this order; symbols without a key are forgotten."""
        used, ids = np.unique(self.symbol_ids[indices], return_inverse=True)
        symbols, hashes = self.symbols.take(pa.array(used)), self.symbol_hashes[used]
        return _keys(symbols, hashes, ids.astype(np.int32), self.scopes[indices])

    def _find_pairs(self, pairs: Int64s) -> Int64s:
        if not len(self):
            return np.full(len(pairs), -1, np.int64)
        place = np.minimum(np.searchsorted(self.sorted_pairs, pairs), len(self) - 1)
        return np.where(self.sorted_pairs[place] == pairs, self.order[place], -1)

    def _with_symbols(self, symbols: pa.StringArray) -> tuple[Keys, Int32s]:
        ids = pc.index_in(symbols, value_set=self.symbols)
        if not ids.null_count:
            return self, ids.to_numpy()
        new = symbols.filter(ids.is_null()).unique()
        known = Keys(
            pa.concat_arrays([self.symbols, new]),
            np.concatenate([self.symbol_hashes, _symbol_hashes(new)]),
            self.symbol_ids,
            self.scopes,
            self.sorted_pairs,
            self.order,
        )
        return known, pc.index_in(symbols, value_set=known.symbols).to_numpy()

    def _with_keys(self, ids: Int32s, scopes: Int32s, pairs: Int64s) -> Keys:
        added = np.argsort(pairs)
        place = np.searchsorted(self.sorted_pairs, pairs[added])
        return Keys(
            self.symbols,
            self.symbol_hashes,
            np.concatenate([self.symbol_ids, ids]),
            np.concatenate([self.scopes, scopes]),
            np.insert(self.sorted_pairs, place, pairs[added]),
            np.insert(self.order, place, added + len(self)),
        )


def no_keys() -> Keys:
    """Not one key."""
    none = np.zeros(0, np.int32)
    return _keys(pa.array([], pa.string()), np.zeros(0, np.uint64), none, none)


def keys_from_texts(texts: list[str]) -> Keys:
    """Keys from their texts, in this order; the opposite of `Keys.text`."""
    parts = [text.split(SEPARATOR, 1) for text in texts]
    scopes = np.array([int(scope) for scope, _ in parts], np.int32)
    return no_keys().locate(pa.array([symbol for _, symbol in parts], pa.string()), scopes)[0]


def _keys(symbols: pa.StringArray, hashes: UInt64s, ids: Int32s, scopes: Int32s) -> Keys:
    pairs = _pairs(ids, scopes)
    order = np.argsort(pairs)
    return Keys(symbols, hashes, ids, scopes, pairs[order], order)


def _pairs(ids: Int32s, scopes: Int32s) -> Int64s:
    """Symbol id and scope as one number."""
    pairs: Int64s = (ids.astype(np.int64) << 32) | scopes.view(np.uint32).astype(np.int64)
    return pairs


def _symbol_hashes(symbols: pa.StringArray) -> UInt64s:
    """The same in every process, which Python's own hash is not; once per symbol, not per batch."""
    digests = b"".join(blake2b(symbol.encode(), digest_size=8).digest() for symbol in symbols.to_pylist())
    return np.frombuffer(digests, "<u8").astype(np.uint64)
