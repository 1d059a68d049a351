"""Times in text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.query.times import EPOCH, FIRST_US, LAST_US, MICROSECOND, micros_to_text, parse_time

NOON_US = 1_738_324_800_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-31T12:00:00Z", NOON_US),
        ("2025-01-31T12:00:00+00:00", NOON_US),
        ("2025-01-31T23:00:00.000001+11:00", NOON_US + 1),
        ("2025-01-31 12:00:00.5Z", NOON_US + 500_000),
        ("1738324800s", NOON_US),
        ("1738324800000ms", NOON_US),
        ("1738324800000000us", NOON_US),
        ("1738324800000000000ns", NOON_US),
        ("-1us", -1),
        ("0s", 0),
    ],
)
def test_iso_and_epochs_are_read(text, expected):
    """With a zone, or with a unit."""
    assert expected == parse_time(text, up=True)
    assert expected == parse_time(f" {text} ", up=False)


@pytest.mark.parametrize("text", ["1738324800000000001ns", "2025-01-31T12:00:00.000000001Z"])
def test_nanoseconds_go_to_the_next_or_the_last_microsecond(text):
    """Up for the ends of a range: no row lies between."""
    assert NOON_US + 1 == parse_time(text, up=True)
    assert NOON_US == parse_time(text, up=False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1738324800", "no unit"),
        ("2025-01-31T12:00:00", "no zone"),
        ("2025-01-31", "no zone"),
        ("yesterday", "not a time"),
        ("", "not a time"),
        ("2025-01-31T12:00:00 10:00", "%2B"),
        ("99999999999999s", "years 1 to 9999"),
        ("0001-01-01T00:00:00+14:00", "years 1 to 9999"),
        ("1.5s", "not a time"),
        ("٣s", "not a time"),
        ("2025-01-31T12:00:00Z\x00", "not a time"),
    ],
)
def test_what_is_not_exact_is_refused(text, says):
    """The message says what is wrong and what is taken."""
    with pytest.raises(ValueError, match=says):
        parse_time(text, up=True)


@given(micros=st.integers(FIRST_US, LAST_US), hours=st.integers(-12, 14))
def test_text_reads_back(micros, hours):
    """Whatever is written is read; any zone means the same moment."""
    assert micros == parse_time(micros_to_text(micros), up=True)
    assert 27 == len(micros_to_text(micros))
    moment = EPOCH + micros * MICROSECOND
    if timedelta(days=1) < moment - datetime.min.replace(tzinfo=UTC) < timedelta(days=3_652_000):
        assert micros == parse_time(moment.astimezone(timezone(timedelta(hours=hours))).isoformat(), up=True)
