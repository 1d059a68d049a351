"""Trading dates and local times against zoneinfo, row by row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.market.exchanges import load
from k2app.market.sessions import local_to_utc_us, trading_dates

ZONES = ["Australia/Sydney", "America/New_York", "UTC", "Australia/Lord_Howe", "Pacific/Chatham"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR_US = 3_600_000_000

CHANGES_2014 = [
    datetime(2014, 4, 5, 16, tzinfo=UTC),  # Sydney, back
    datetime(2014, 10, 4, 16, tzinfo=UTC),  # Sydney, forward
    datetime(2014, 4, 5, 15, tzinfo=UTC),  # Lord Howe, back by 30 minutes
    datetime(2014, 10, 4, 15, 30, tzinfo=UTC),  # Lord Howe, forward by 30 minutes
    datetime(2014, 3, 9, 7, tzinfo=UTC),  # New York, forward
    datetime(2014, 11, 2, 6, tzinfo=UTC),  # New York, back
    datetime(2014, 4, 5, 14, tzinfo=UTC),  # Chatham, back
    datetime(2014, 9, 27, 14, tzinfo=UTC),  # Chatham, forward
]
ANYWHEN = st.integers(-3_000_000_000_000_000, 8_000_000_000_000_000)
NEAR_A_CHANGE = st.builds(
    lambda change, hours, off: (change - EPOCH) // MICROSECOND + int(hours * HOUR_US) + off,
    st.sampled_from(CHANGES_2014),
    st.sampled_from([-14, -11, -10.5, -5, -4, -1, -0.5, 0, 0.5, 1, 9.5, 10, 10.5, 11, 12.75, 13, 13.75]),
    st.integers(-3, 3),
)
TIMES = st.lists(st.one_of(ANYWHEN, NEAR_A_CHANGE, NEAR_A_CHANGE), max_size=20)


def exchange_in(zone, session_start="00:00"):
    return load()["generic"].model_copy(update={"time_zone": zone, "session_start": session_start})


def date_by_zoneinfo(time_us, zone, session_start):
    local = (EPOCH + time_us * MICROSECOND).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    begun = f"{local:%H:%M}" >= session_start
    if session_start > "12:00":
        day = local.date() + timedelta(days=1 if begun else 0)
    else:
        day = local.date() - timedelta(days=0 if begun else 1)
    return (day - date(1970, 1, 1)).days


def local_by_zoneinfo(local_us, zone):
    naive = datetime(1970, 1, 1) + local_us * MICROSECOND  # noqa: DTZ001 - a wall clock
    early, late = (naive.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    utc_us = (early.astimezone(UTC) - EPOCH) // MICROSECOND
    exists = early.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == naive
    twice = exists and early.utcoffset() != late.utcoffset()
    return utc_us, twice, not exists


@settings(max_examples=200, deadline=None)
@given(TIMES, st.sampled_from(ZONES), st.sampled_from(["00:00", "04:00", "12:00", "12:01", "17:00", "18:30"]))
def test_trading_dates_are_zoneinfos(times, zone, session_start):
    """Each UTC time belongs to the date that its local clock says, session start and all."""
    expected = [date_by_zoneinfo(time_us, zone, session_start) for time_us in times]
    dates = trading_dates(exchange_in(zone, session_start), np.array(times, np.int64))
    assert expected == dates.tolist()
    assert np.int32 == dates.dtype


@settings(max_examples=300, deadline=None)
@given(TIMES, st.sampled_from(ZONES))
def test_local_times_are_zoneinfos(times, zone):
    """UTC of the first occurrence, and whether the time came twice or never."""
    expected = [local_by_zoneinfo(local_us, zone) for local_us in times]
    found = local_to_utc_us(zone, np.array(times, np.int64))
    assert expected == list(zip(*(column.tolist() for column in found), strict=True))


@pytest.mark.parametrize("zone", ZONES)
def test_every_half_hour_of_a_year(zone):
    """No hour of 2014 is off, in either direction."""
    start = (datetime(2014, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
    times = np.arange(start, start + 366 * 24 * HOUR_US, HOUR_US // 2)
    dates = trading_dates(exchange_in(zone), times)
    assert [date_by_zoneinfo(time_us, zone, "00:00") for time_us in times.tolist()] == dates.tolist()
    found = local_to_utc_us(zone, times)
    expected = [local_by_zoneinfo(local_us, zone) for local_us in times.tolist()]
    assert expected == list(zip(*(column.tolist() for column in found), strict=True))


def test_futures_session_starts_the_evening_before():
    """Sunday 17:00 in Chicago is Monday's date; a minute before is Sunday's."""
    zone = ZoneInfo("America/Chicago")
    at = [datetime(2024, 3, 10, 16, 59, tzinfo=zone), datetime(2024, 3, 10, 17, 0, tzinfo=zone)]
    times = np.array([(moment - EPOCH) // MICROSECOND for moment in at])
    days = trading_dates(exchange_in("America/Chicago", "17:00"), times).tolist()
    assert [date(2024, 3, 10), date(2024, 3, 11)] == [date(1970, 1, 1) + timedelta(day) for day in days]


def test_session_starts_when_the_clocks_change():
    """The first instant of summer time in Sydney is 03:00 already."""
    change = (CHANGES_2014[1] - EPOCH) // MICROSECOND
    days = trading_dates(exchange_in("Australia/Sydney", "03:00"), np.array([change - 1, change])).tolist()
    assert [date(1970, 1, 1) + timedelta(day) for day in days] == [date(2014, 10, 4), date(2014, 10, 5)]


def test_times_that_no_calendar_holds():
    """The ends of int64 are days too: a broken time never stops its neighbours."""
    ends = np.array([-(2**63), 2**63 - 1, 0], np.int64)
    dates = trading_dates(exchange_in("Australia/Sydney"), ends).tolist()
    assert dates == [-106_751_991, 106_751_991, 0]


def test_no_times():
    """Nothing in, nothing out."""
    nothing = np.zeros(0, np.int64)
    assert len(trading_dates(exchange_in("Australia/Sydney"), nothing)) == 0
    assert [len(column) for column in local_to_utc_us("Australia/Sydney", nothing)] == [0, 0, 0]
