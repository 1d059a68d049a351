"""Gaps: events, and the state they add up to."""

from __future__ import annotations

from k2app.query.requests import GapsRequest
from tests.query_lake import MONDAY_US, gap


def states(result):
    return [
        (row["from_sequence"], row["to_sequence"], row["missing"], row["state"])
        for row in result.rows.to_pylist()
    ]


def test_events_fold_to_what_is_open_and_what_became_of_the_rest(put, engine):
    """Opened, less what came, less what a reset closed."""
    put("gaps", [gap("opened", 1, 10, 20), gap("opened", 2, 30, 33, symbol="RIO")])
    put(
        "gaps",
        [gap("filled", 3, 12, 12), gap("filled", 4, 20, 20), gap("abandoned", 5, 30, 33, symbol="RIO")],
    )
    expected = [(10, 11, 2, "open"), (12, 12, 0, "filled"), (13, 19, 7, "open"), (20, 20, 0, "filled")]
    assert [*expected, (30, 33, 4, "abandoned")] == states(engine.gaps(GapsRequest()))
    assert [(10, 11, 2, "open"), (13, 19, 7, "open")] == states(engine.gaps(GapsRequest(open_only=True)))


def test_events_are_given_as_recorded(put, engine):
    """In order of arrival, every column."""
    put("gaps", [gap("filled", 9, 3, 3), gap("opened", 8, 3, 3)])
    rows = engine.gaps(GapsRequest(events=True)).rows
    assert ["opened", "filled"] == rows["event"].to_pylist()
    assert "committed_at" in rows.column_names


def test_gaps_are_chosen_by_symbol_exchange_type_and_time(put, engine):
    """A gap's time is that of the record that showed it."""
    put(
        "gaps",
        [
            gap("opened", 1, 1, 1),
            gap("opened", 2, 2, 2, symbol="RIO"),
            gap("opened", 3, 3, 3, exchange="nyse"),
            gap("opened", 4, 4, 4, data_type="quotes"),
            gap("opened", 5, 5, 5, trading_date=None),
        ],
    )
    asked = [
        (GapsRequest(symbol="RIO"), [2]),
        (GapsRequest(exchange="nyse"), [3]),
        (GapsRequest(data_type="quotes"), [4]),
        (GapsRequest(start=MONDAY_US + 2, end=MONDAY_US + 4), [2, 3]),
        (GapsRequest(symbol="BHP", exchange="asx", data_type="trades"), [5, 1]),
    ]
    for request, expected in asked:
        assert expected == engine.gaps(request).rows["from_sequence"].to_pylist()


def test_without_gaps_there_are_columns_and_no_rows(engine):
    """Empty keeps its shape."""
    result = engine.gaps(GapsRequest())
    assert 0 == result.rows.num_rows
    assert "state" in result.rows.column_names
