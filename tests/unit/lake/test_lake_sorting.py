from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from k2app.lake.sorting import sort_indices

INTEGERS = st.none() | st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1)
TEXTS = st.none() | st.sampled_from(["", "a", "b", "é", "\U0001f600", "￿"]) | st.text(max_size=3)
ROWS = st.lists(st.tuples(TEXTS, INTEGERS, INTEGERS, TEXTS, st.none() | st.integers(-5, 5)), max_size=30)

TYPES = (pa.string(), pa.timestamp("us", tz="UTC"), pa.int64(), pa.large_string(), pa.date32())


def columns_of(rows, dictionary):
    """Arrow columns of `rows`; the first one as a dictionary if asked for."""
    data = list(zip(*rows, strict=True)) if rows else [()] * len(TYPES)
    columns = [
        pa.array(values, integer_of(kind)).cast(kind) for values, kind in zip(data, TYPES, strict=True)
    ]
    return [columns[0].dictionary_encode(), *columns[1:]] if dictionary else columns


def integer_of(kind):
    """Storage type of `kind`: Python's own dates do not reach as far."""
    return {pa.date32(): pa.int32(), pa.timestamp("us", tz="UTC"): pa.int64()}.get(kind, kind)


def model_key(row):
    """Nulls first, text by its UTF-8 bytes."""
    return [(value is not None, value.encode() if isinstance(value, str) else value or 0) for value in row]


@given(ROWS, st.booleans())
def test_order_is_that_of_sorted(rows, dictionary):
    """Nulls come first, integers may be as wide as they get, text goes by its bytes."""
    order = sort_indices(columns_of(rows, dictionary))
    assert sorted(rows, key=model_key) == [rows[i] for i in order]


def test_dictionary_with_a_null_value_and_repeats_sorts_as_its_values():
    """What concatenation leaves in a dictionary does not matter."""
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 3]), pa.array(["b", None, "a", "b"]))
    order = sort_indices([column, pa.array([1, 5, 1, 4, 0])])
    assert order.tolist() == [3, 1, 2, 4, 0]


def test_no_rows_have_no_order():
    """Empty columns are sorted too."""
    assert sort_indices([pa.array([], pa.int64())]).tolist() == []


def test_constant_columns_keep_every_row():
    """Keys that tell nothing apart still give a permutation."""
    assert sorted(sort_indices([pa.array([7, 7, 7])]).tolist()) == [0, 1, 2]


def test_ties_of_the_first_word_are_broken_by_the_second():
    """Wide keys need several words; equal ones in the first are ordered by the rest."""
    random = np.random.default_rng(1)
    wide = random.integers(0, 3, 1000) * 2**60
    narrow = random.integers(-(2**40), 2**40, 1000)
    order = sort_indices([pa.array(wide), pa.array(narrow)])
    assert np.lexsort((narrow, wide)).tolist() == order.tolist()
