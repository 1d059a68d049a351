from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.load.fields import Date, Time
from k2app.load.times import ns_text, read_dates, read_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis takes naive limits


def read(cells, **how):
    return read_times(pa.array(cells, pa.string()), Time(column=("t",), **how), "Australia/Sydney")


def micros(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def values(times):
    return times.parsed.values.cast(pa.int64()).to_pylist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.integers(-720, 720)), min_size=1), st.sampled_from("T "))
def test_iso_times_with_any_offset(moments, between):
    """What datetime writes is read to the microsecond."""
    cells = [m.astimezone(timezone(timedelta(minutes=offset))).isoformat(between) for m, offset in moments]
    assert [micros(m) for m, _ in moments] == values(read(cells))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("2014-03-10T05:00:00", "has no zone; it takes Z or an offset such as +10:00"),
        ("2014-03-10", "has no zone; it takes Z or an offset such as +10:00"),
        ("1394427600", "is not an ISO 8601 time with Z or an offset"),
        ("2014-02-30T05:00:00Z", "is not an ISO 8601 time with Z or an offset"),
        ("2014-03-10T24:00:00Z", "is not an ISO 8601 time with Z or an offset"),
        ("2014-03-10T05:00:60Z", "is not an ISO 8601 time with Z or an offset"),
        ("2014-03-10T05:00:00.0000000001Z", "is not an ISO 8601 time with Z or an offset"),
        ("yesterday", "is not an ISO 8601 time with Z or an offset"),
    ],
)
def test_what_is_no_iso_time_is_refused_alone(cell, reason):
    """Its neighbours are read."""
    found = read(["2014-03-10T05:00:00Z", cell, "2014-03-10T05:00:00.5+10:00"])
    assert values(found) == [1394427600000000, None, 1394391600500000]
    assert found.parsed.refused == {1: f"{cell!r} {reason}"}


def test_nanoseconds_are_kept_beside_the_microseconds():
    """The time is cut to the microsecond before it; the whole stands in text where it says more."""
    found = read(
        ["2014-03-10T05:00:00.123456789Z", "2014-03-10T05:00:00.1Z", "1969-12-31T23:59:59.999999999Z"]
    )
    assert values(found) == [1394427600123456, 1394427600100000, -1]
    assert ns_text(found.ns, 3).to_pylist() == ["1394427600123456789", None, "-1"]


@pytest.mark.parametrize(
    ("unit", "cell", "expected"),
    [
        ("s", "1394427600", 1394427600000000),
        ("ms", "-1", -1000),
        ("us", "1394427600123456", 1394427600123456),
        ("ns", "1394427600123456789", 1394427600123456),
        ("auto", "1394427600", 1394427600000000),
        ("auto", "1394427600123", 1394427600123000),
        ("auto", "1394427600123456", 1394427600123456),
        ("auto", "1394427600123456789", 1394427600123456),
        ("auto", "99999999999", 99999999999000000),
        ("auto", "100000000000", 100000000000000),
        ("s", "253402300800", None),
        ("ms", "9223372036854775807", None),
        ("s", "9223372036854775808", None),
        ("s", "1.5", None),
        ("s", "1e9", None),
        ("auto", "-9223372036854775808", None),
    ],
)
def test_integer_times(unit, cell, expected):
    """In the unit stated, or told by their size; beyond the year 9999, or not whole, they are refused."""
    found = read([cell], format="epoch", unit=unit)
    assert values(found) == [expected]
    assert list(found.parsed.refused) == ([0] if expected is None else [])


def test_iso_and_integers_in_one_column():
    """With a unit, the iso format reads integers too."""
    found = read(["1394427600000000001", "2014-03-10T05:00:00Z", "x", None], unit="ns")
    assert values(found) == [1394427600000000, 1394427600000000, None, None]
    assert list(found.parsed.refused) == [2]
    assert ns_text(found.ns, 4).to_pylist() == ["1394427600000000001", None, None, None]


PATTERN = "%m/%d/%Y %H:%M:%S.%f"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.integers(1, 6)), min_size=1))
def test_times_by_a_pattern(moments):
    """With any number of digits of a second, mixed in a column; the model is strftime."""
    cells, expected = [], []
    for moment, digits in moments:
        unit = 10 ** (6 - digits)
        cut = moment.replace(microsecond=moment.microsecond // unit * unit)
        year, rest = f"{cut.year:04d}", cut.strftime("%H:%M:%S.%f")
        cells.append(f"{cut.month:02d}/{cut.day:02d}/{year} {rest[: len(rest) - 6 + digits]}")
        expected.append(micros(cut))
    assert expected == values(read(cells, format=PATTERN, zone="UTC"))


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789/", min_size=8, max_size=10))
def test_dates_by_a_pattern_against_strptime(cell):
    """A date is read if its form is exact and the day exists, and refused otherwise."""
    found = read_dates(pa.array([cell, None]), Date(column=("d",), format="%m/%d/%Y"))
    try:
        expected = datetime.strptime(cell, "%m/%d/%Y").date() if len(cell) == 10 else None  # noqa: DTZ007 - a date
    except ValueError:
        expected = None
    assert [expected, None] == found.values.to_pylist()
    assert [0] * (expected is None) == list(found.refused)


@pytest.mark.parametrize(
    "cell", ["2/28/2015", "02/29/2015", "13/01/2015", "00/10/2015", "02/00/2015", "02-28-2015", "01/01/0000"]
)
def test_a_date_that_is_none(cell):
    """Said with the form that it takes."""
    found = read_dates(pa.array(["02/29/2016", cell]), Date(column=("d",), format="%m/%d/%Y"))
    assert found.values.to_pylist() == [date(2016, 2, 29), None]
    assert found.refused == {1: f"{cell!r} is not a date of the form MM/DD/YYYY"}


def test_a_zone_of_its_own():
    """A pattern may name its zone; `exchange` is the exchange's."""
    cells = ["07/01/2014 12:00:00.000"]
    assert values(read(cells, format=PATTERN, zone="UTC")) == [1404216000000000]
    sydney = 1404216000000000 - 10 * 3_600_000_000
    assert values(
        read_times(pa.array(cells), Time(column=("t",), format=PATTERN, zone="exchange"), "Australia/Sydney")
    ) == [sydney]


LIMITS = {"s": (0, 10**11), "ms": (10**11, 10**14), "us": (10**14, 10**17), "ns": (10**17, 2**63 - 1)}
TO_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
LAST_US = 253_402_300_799_999_999


def epoch_model(number, units):
    """Microseconds since 1970 of one integer, or None."""
    fitting = [u for u in units if len(units) == 1 or LIMITS[u][0] <= abs(number) < LIMITS[u][1]]
    if not fitting or not -(2**63) <= number < 2**63:
        return None
    us = number * TO_NS[fitting[0]] // 1000
    return us if -62_135_596_800_000_000 <= us <= LAST_US else None


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 20).flatmap(lambda n: st.integers(-(10**n), 10**n)), min_size=1),
    st.lists(st.sampled_from(["s", "ms", "us", "ns"]), min_size=1, unique=True),
    st.sampled_from(["epoch", "iso"]),
)
def test_integers_in_units_that_are_told_apart_by_size(numbers, units, form):
    """One unit takes what it can hold; of several, each its own sizes; everything else is refused."""
    found = read([str(number) for number in numbers], format=form, unit=units)
    expected = [epoch_model(number, units) for number in numbers]
    assert expected == values(found)
    assert {row for row, us in enumerate(expected) if us is None} == set(found.parsed.refused)


def test_a_day_or_month_of_one_digit():
    """Of 1/2/2014 nobody knows which is which: it is refused, not guessed."""
    found = read(["01/02/2014", "1/2/2014"], format="%m/%d/%Y", zone="UTC")
    assert [1388620800000000, None] == values(found)
    assert {1: "'1/2/2014' is not a time of the form MM/DD/YYYY"} == found.parsed.refused
