"""Parameters: what they take, and how a wrong one is named."""

from __future__ import annotations

import pytest

from k2app.errors import RequestError
from k2app.query.requests import GapsRequest, RowsRequest, SummariesRequest, make, parse


def test_texts_become_a_request():
    """A symbol may come several times."""
    given = [
        ("symbol", "BHP"),
        ("start", "1s"),
        ("symbol", "RIO"),
        ("limit", "5"),
        ("include_duplicates", "true"),
    ]
    assert RowsRequest(symbol=("BHP", "RIO"), start=1_000_000, limit=5, include_duplicates=True) == parse(
        RowsRequest, given
    )


@pytest.mark.parametrize(
    ("model", "given", "parameter", "says"),
    [
        (RowsRequest, [("simbol", "BHP")], "simbol", "nearest is symbol"),
        (RowsRequest, [("exchange", "a"), ("exchange", "b")], "exchange", "more than once"),
        (GapsRequest, [("symbol", "a"), ("symbol", "b")], "symbol", "more than once"),
        (GapsRequest, [("events", "true"), ("open_only", "true")], "open_only", "events"),
        (SummariesRequest, [("start_date", "2026-01-05"), ("end_date", "2026-01-04")], "end_date", "before"),
        (SummariesRequest, [("start_date", "2000-01-05"), ("end_date", "2026-01-04")], "end_date", "3700"),
        (SummariesRequest, [("start_date", "20260105")], "start_date", "takes YYYY-MM-DD"),
        (SummariesRequest, [("start_date", "2026-02-30")], "start_date", "takes YYYY-MM-DD"),
        (RowsRequest, [("snapshot_id", str(2**63))], "snapshot_id", "less than"),
        (RowsRequest, [("symbol", "x" * 257)], "symbol", "256"),
        (RowsRequest, [("symbol", "\ud800")], "symbol", "unicode"),
        (RowsRequest, [("limit", "9" * 5_000)], "limit", "integer"),
    ],
)
def test_a_wrong_parameter_is_named(model, given, parameter, says):
    """By the name that the client wrote; long texts are cut."""
    with pytest.raises(RequestError, match=says) as caught:
        parse(model, given)
    assert parameter == caught.value.parameter
    assert len(str(caught.value)) < 1_000


def test_too_many_symbols_are_refused():
    """A request holds a thousand."""
    with pytest.raises(RequestError, match=r"^symbol: "):
        make(RowsRequest, symbol=tuple(str(n) for n in range(1_001)))
