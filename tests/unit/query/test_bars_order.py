"""The total order as one number."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.query.bars.order import order_number, order_of_all
from k2app.query.reading.bounds import Bounds

CONSTANT = {name: Bounds(b"x", b"x", has_nulls=False) for name in ("log_id", "topic")}


def known(rows, **other):
    """Bounds of rows (time, sequence, partition, offset)."""
    found = dict(CONSTANT)
    for place, name in enumerate(("timestamp", "sequence", "partition", "offset")):
        values = [row[place] for row in rows if row[place] is not None]
        nulls = len(values) < len(rows)
        found[name] = Bounds(min(values, default=None), max(values, default=None), has_nulls=nulls)
    return found | other


ROWS = st.lists(
    st.tuples(
        st.integers(0, 59_999_999),
        st.none() | st.integers(-3, 3) | st.integers(-(2**40), 2**40),
        st.integers(0, 3),
        st.integers(0, 5) | st.integers(0, 2**40),
    ),
    min_size=1,
    max_size=20,
)


def placed(rows, sql):
    """The rows in the order of an SQL expression."""
    values = ", ".join(
        f"({us}, {'NULL' if seq is None else seq}, {part}, {off}, 'x', 'x')" for us, seq, part, off in rows
    )
    with duckdb.connect() as connection:
        return connection.execute(
            f'SELECT * EXCLUDE (log_id, topic) FROM (SELECT us::BIGINT AS us, "sequence"::BIGINT AS "sequence", '
            f'"partition", "offset", log_id, topic FROM (VALUES {values}) '
            f't(us, "sequence", "partition", "offset", log_id, topic)) ORDER BY {sql}'
        ).fetchall()


@given(rows=ROWS)
def test_the_number_grows_with_the_total_order(rows):
    """Null sequences first, then sequence, partition, offset; whether it fits one word, two or none."""
    expected = sorted(rows, key=lambda row: (row[0], row[1] is not None, row[1] or 0, *row[2:]))
    assert expected == placed(rows, order_number(known(rows), "us", 60_000_000))


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([(0, 1, 0, 0), (9, 50, 3, 1_000)], "BIGINT"),
        ([(0, None, 0, 7), (9, None, 0, 7)], "BIGINT"),
        ([(0, 1, 0, 0), (9, 2**30, 3, 2**30)], "HUGEINT"),
        ([(0, -(2**63), 0, 0), (9, 2**63 - 1, 3, 0)], "STRUCT"),
        ([(0, 0, 0, 0), (9, 2**61, 3, 2**61)], "STRUCT"),
    ],
)
def test_the_number_is_no_wider_than_it_must(rows, kind):
    """A word where the bounds allow it: comparing columns takes several times as long."""
    sql = order_number(known(rows), "us", 60_000_000)
    with duckdb.connect() as connection:
        row = "SELECT 0::BIGINT AS us, 1::BIGINT AS sequence, 0 AS partition, 0::BIGINT AS offset, 'x' AS log_id"
        (found,) = connection.execute(f"SELECT typeof({sql}) FROM ({row}, 'x' AS topic)").fetchone()
    assert found.startswith(kind)


@pytest.mark.parametrize("name", ["log_id", "topic", "sequence", "partition", "offset"])
def test_what_is_not_known_is_compared_itself(name):
    """Two logs, or bounds that nobody wrote: a number could take two rows for equal."""
    rows = [(0, 1, 0, 0), (9, 2, 3, 9)]
    bounds = known(rows)
    del bounds[name]
    assert "log_id" in order_number(bounds, "us", 10)
    assert "log_id" in order_number(known(rows, topic=Bounds(b"x", b"y", has_nulls=False)), "us", 10)
    assert "timestamp" in order_of_all({})
