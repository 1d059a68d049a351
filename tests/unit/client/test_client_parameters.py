from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2app.client.parameters import to_texts
from k2app.client.problems import LaterError, SlowAnswerError, may_retry, response_to_error
from k2app.client.questions import question
from k2app.errors import GoneError, OperatorError, RequestError, TransientError
from k2app.query.requests import RowsRequest, parse
from k2app.query.times import EPOCH, MICROSECOND


@given(
    st.datetimes(datetime(1902, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 - naive bounds
    st.decimals("-9999999999", "9999999999", places=8),
    st.lists(st.text(min_size=1, max_size=9), max_size=3),
    st.booleans(),
)
def test_the_server_reads_what_was_given(moment, amount, symbols, flag):
    """Any zone, any digits, any text: nothing is rounded or cut."""
    asked = parse(
        RowsRequest,
        to_texts(
            {"start": moment, "min_price": amount, "symbol": symbols, "include_duplicates": flag, "end": None}
        ),
    )
    assert ((moment - EPOCH) // MICROSECOND, amount) == (asked.start, asked.min_price)
    assert (tuple(symbols), flag, None) == (asked.symbol, asked.include_duplicates, asked.end)


@pytest.mark.parametrize("value", [1.5, datetime(2026, 1, 5), object(), b"x", timedelta(1)])  # noqa: DTZ001 - refused
def test_a_value_without_an_exact_text_is_refused(value):
    """Before anything is sent."""
    with pytest.raises(RequestError, match="start: "):
        to_texts({"start": value})


def test_names_and_dates_are_as_a_url_has_them():
    """An underscore makes a name of a word of Python's; an hour's offset stays."""
    sydney = datetime(2026, 1, 5, tzinfo=timezone(timedelta(hours=11)))
    assert [
        ("from", "2026-01-05T00:00:00+11:00"),
        ("n", "0"),
        ("day", "2026-01-05"),
        ("p", "0.00000001"),
    ] == to_texts({"from_": sydney, "n": 0, "day": date(2026, 1, 5), "p": Decimal("1E-8")})


@given(st.text(min_size=1, max_size=20))
@example("..")
def test_a_path_holds_any_symbol(symbol):
    """Slashes, dots, percent signs: the server reads the symbol that was given."""
    path, left = question("summary").address(
        [("date", "2026-01-05"), ("symbol", symbol), ("exchange", "asx")]
    )
    sent = httpx.URL("http://x" + path).raw_path.decode()
    assert ["", "v1", "summary", "2026-01-05"] == [*sent.split("/")[:3], sent.split("/")[-1]]
    assert 5 == len(sent.split("/"))
    assert symbol == httpx.URL("http://x/?" + "symbol=" + sent.split("/")[3]).params["symbol"]
    assert [("exchange", "asx")] == left


def problem(status, kind, *, headers=None, **members):
    document = {"type": f"urn:k2:problem:{kind}", "status": status, "detail": "limit: is too much", **members}
    head = {"Content-Type": "application/problem+json; charset=utf-8", **(headers or {})}
    return httpx.Response(status, json=document, headers=head, request=httpx.Request("GET", "http://x/v1"))


@pytest.mark.parametrize(
    ("response", "kind", "again"),
    [
        (problem(400, "request", parameter="limit"), RequestError, False),
        (problem(410, "gone", parameter="limit"), GoneError, False),
        (problem(401, "unauthorized"), OperatorError, False),
        (problem(403, "forbidden"), OperatorError, False),
        (problem(404, "http"), OperatorError, False),
        (problem(429, "rate", headers={"Retry-After": "7"}), LaterError, True),
        (problem(503, "transient", headers={"Retry-After": "2"}), LaterError, True),
        (problem(503, "operator"), OperatorError, False),
        (problem(504, "timeout"), SlowAnswerError, False),
        (problem(500, "internal"), OperatorError, False),
        (httpx.Response(502, text="<html>", request=httpx.Request("GET", "http://x")), TransientError, True),
        (httpx.Response(404, text="<html>", request=httpx.Request("GET", "http://x")), OperatorError, False),
    ],
)
def test_problems_become_the_errors_they_were(response, kind, again):
    """By what whoever asked must do; only what time mends is asked again."""
    error = response_to_error(response)
    assert (kind, again) == (type(error), may_retry(error))
    if isinstance(error, RequestError):
        assert ("limit", "is too much") == (error.parameter, error.detail)
    if response.headers.get("Retry-After") == "7":
        assert 7.0 == error.retry_after_s
