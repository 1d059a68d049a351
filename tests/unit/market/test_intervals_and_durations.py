"""Intervals, durations and the clocks that intervals start by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.market.clocks import UtcClock, session_clock, session_starts
from k2app.market.durations import parse_duration_us
from k2app.market.exchanges import Exchange
from k2app.market.intervals import Interval, parse_interval
from k2app.market.sessions import trading_dates

DAY_US = 86_400_000_000


def exchange(zone, start):
    rule = {"kind": "none"}
    return Exchange(
        name="x", asset_class="futures", time_zone=zone, session_start=start, currency="USD", partitions=1,
        sequences={"trades": rule, "quotes": rule},
    )  # fmt: skip


def us(text):
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "length"),
    [("1s", 10**6), ("7s", 7 * 10**6), ("90m", 5_400 * 10**6), ("2h", 7_200 * 10**6), ("3d", 3 * DAY_US)],
)
def test_an_interval_is_a_number_and_a_unit(text, length):
    """In microseconds; weeks start on Monday, seven days do not."""
    assert Interval(length) == parse_interval(text)
    assert Interval(7 * DAY_US, in_weeks=True) == parse_interval("1w")
    assert Interval(7 * DAY_US) == parse_interval("7d")


@pytest.mark.parametrize(
    "text", ["", "m", "0s", "01m", "1.5h", "-1d", "1M", "1 m", "3701d", "530w", "1y", "\uff11m"]
)
def test_what_is_no_interval_is_refused(text):
    """With what it takes."""
    with pytest.raises(ValueError, match="not an interval; takes"):
        parse_interval(text)


@pytest.mark.parametrize(
    ("text", "length"), [("0us", 0), ("500ms", 500_000), ("5s", 5_000_000), ("3700d", 3_700 * DAY_US)]
)
def test_a_duration_may_be_shorter_than_a_second(text, length):
    """Down to a microsecond."""
    assert length == parse_duration_us(text)


@pytest.mark.parametrize(
    ("zone", "start", "intervals"),
    [
        ("Australia/Sydney", "00:00", ["5h", "1d", "2d", "1w"]),
        ("Australia/Sydney", "02:30", ["7h", "1d"]),
        ("America/Chicago", "17:00", ["90m", "1d", "1w"]),
        ("America/Havana", "00:30", ["1h", "1d"]),
        ("UTC", "00:00", ["1h", "3d"]),
    ],
)
@given(days=st.integers(0, 800), within=st.integers(0, DAY_US - 1), data=st.data())
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_session_clock_agrees_with_trading_dates(zone, start, intervals, days, within, data):
    """Starts are at or before their times, are starts themselves, and whole dates never mix two trading dates."""
    venue = exchange(zone, start)
    interval = parse_interval(data.draw(st.sampled_from(intervals)))
    time = us("2025-01-01T00:00Z") + days * DAY_US + within
    clock = session_clock(venue, interval, time, time)
    (found,) = clock.floor(np.array([time])).tolist()
    (date,) = trading_dates(venue, np.array([time])).tolist()
    assert found <= time
    if interval.days is None:
        assert time < found + interval.us
        assert 0 == (found - session_starts(venue, np.array([date]))[0]) % interval.us
    else:
        first = date - (date - interval.first_day) % interval.days
        assert session_starts(venue, np.array([first])).tolist() == [found]
        assert found in clock.starts(time, time + 1).tolist()


def test_a_session_that_starts_in_the_hour_that_is_skipped_starts_when_clocks_have_moved():
    """02:30 does not exist in Sydney on 2025-10-05: 02:00 becomes 03:00 at 16:00 UTC."""
    venue = exchange("Australia/Sydney", "02:30")
    dates = trading_dates(venue, np.array([us("2025-10-04T16:00Z") - 1, us("2025-10-04T16:00Z")]))
    assert [1, us("2025-10-04T16:00Z")] == [
        int(dates[1] - dates[0]),
        int(session_starts(venue, dates[1:].astype(np.int64))[0]),
    ]


@given(
    time=st.integers(us("0001-01-01T00:00Z"), us("9999-12-31T23:59:59Z")),
    text=st.sampled_from(["7s", "90m", "1w"]),
)
def test_the_utc_clock_has_no_first_time(time, text):
    """Times before 1970 are as good as those after it."""
    clock = UtcClock(parse_interval(text))
    (found,) = clock.floor(np.array([time])).tolist()
    assert found <= time < found + clock.interval.us
    assert [found] == clock.starts(time, time + 1).tolist()
    if text == "1w":
        assert us("2026-01-05T00:00Z") % clock.interval.us == found % clock.interval.us
