"""Masks and footers: which rows, and which row groups, a filter wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import eq, ge, le, lt, ne

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.errors import TransientError
from k2app.query.reading.filters import Term
from k2app.query.reading.footers import read_footer
from k2app.query.reading.masks import can_mask, mask

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("price", pa.decimal128(18, 8)),
    ]
)

OPERATORS = {"=": eq, "<>": ne, ">=": ge, "<": lt, "<=": le}

TEXTS = st.none() | st.sampled_from(["", "A", "AA", "B", "é", "Ω"])

ROWS = st.lists(
    st.tuples(TEXTS, st.none() | st.integers(-3, 3), st.none() | st.integers(-3, 3).map(Decimal)), max_size=30
)

TERMS = st.one_of(
    st.builds(Term, st.just("symbol"), st.sampled_from(["=", "<>"]), TEXTS.filter(lambda t: t is not None)),
    st.builds(
        Term,
        st.just("symbol"),
        st.just("in"),
        st.lists(TEXTS.filter(lambda t: t is not None), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(
        Term,
        st.just("timestamp"),
        st.sampled_from(list(OPERATORS)),
        st.integers(-3, 3),
        is_time=st.just(True),
    ),
    st.builds(
        Term,
        st.just("price"),
        st.sampled_from(list(OPERATORS)),
        st.integers(-3, 3).map(Decimal),
        or_null=st.booleans(),
    ),
)

FILTERS = st.lists(TERMS, max_size=3).map(tuple)


def table(rows):
    columns = [
        [None if row[1] is None else EPOCH + timedelta(microseconds=row[1]) for row in rows]
        if name == "timestamp"
        else [row[n] for row in rows]
        for n, name in enumerate(SCHEMA.names)
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def meets(row, terms):
    """As SQL's WHERE: what is not known to be true is not met."""
    return all(one(row[SCHEMA.names.index(term.column)], term) for term in terms)


def one(value, term):
    if value is None:
        return term.or_null
    return value in term.value if term.operator == "in" else OPERATORS[term.operator](value, term.value)


@given(rows=ROWS, terms=FILTERS, encoded=st.booleans(), cut=st.integers(0, 30))
def test_a_mask_is_what_sql_would_say(rows, terms, encoded, cut):
    """Of nulls, of dictionaries, of columns in several chunks."""
    found = pa.concat_tables([table(rows[:cut]), table(rows[cut:])])
    if encoded:
        found = found.set_column(0, "symbol", found["symbol"].dictionary_encode())
    assert can_mask(terms)
    assert [meets(row, terms) for row in rows] == mask(found, terms).tolist()


def test_filters_of_lists_are_left_to_sql():
    """They are said to be, rather than answered wrongly."""
    assert not can_mask((Term("conditions", "has any", ("1",)),))
    assert not can_mask((Term("symbol", "not in", ("1",)),))


@given(rows=ROWS, terms=FILTERS, size=st.integers(1, 9))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_row_groups_are_left_out_only_where_no_row_matches(tmp_path, rows, terms, size):
    """And a condition is taken for decided only where every row meets it."""
    path = tmp_path / "file.parquet"
    pq.write_table(table(rows), path, row_group_size=size)
    footer = read_footer(str(path))
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    assert [len(group) for group in groups] == [footer.rows(n) for n in range(len(footer.groups)) if rows]
    matching = footer.matching(terms) if rows else []
    for number, group in enumerate(groups):
        if any(meets(row, terms) for row in group):
            assert number in matching
        left = footer.undecided([number], terms)
        assert all(meets(row, [term]) for row in group for term in terms if term not in left)


def test_sorted_row_groups_are_found_by_their_bounds(tmp_path):
    """One of many, and nothing of it has to be filtered by symbol."""
    names = np.repeat([f"S{n}" for n in range(8)], 4)
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"symbol": names}), path, row_group_size=4)
    footer = read_footer(str(path))
    term = Term("symbol", "=", "S5")
    assert [5] == footer.matching((term,))
    assert () == footer.undecided([5], (term,))
    assert (term,) == footer.undecided([4, 5], (term,))


def test_times_of_another_unit_are_not_pruned_by(tmp_path):
    """Bounds are numbers of the file's own unit: milliseconds are not microseconds."""
    path = tmp_path / "file.parquet"
    times = pa.array([1_000, 2_000], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"timestamp": times}), path)
    late = Term("timestamp", ">=", 1_500_000, is_time=True)
    assert [0] == read_footer(str(path)).matching((late,))


def test_a_footer_that_is_gone_may_be_asked_for_again(tmp_path):
    """The file may have expired: the caller finds out."""
    with pytest.raises(TransientError, match=r"gone\.parquet"):
        read_footer(str(tmp_path / "gone.parquet"))
