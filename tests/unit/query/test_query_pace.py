"""When rows are due: by a clock that the test moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.query.replay.pace import BURST_S, Pace

SECOND_US = 1_000_000


def at(*seconds):
    return np.array([round(s * SECOND_US) for s in seconds], np.int64) + 1_767_571_200_000_000


def sent(pace, times, wake):
    """Times at which each row was let through, with sleeps that take as long as `wake` says."""
    now, done, found = 100.0, 0, []
    while done < len(times):
        count = pace.due(times[done:], now)
        found += [now] * count
        done += count
        if done < len(times):
            now = wake(now + pace.wait_s(int(times[done]), now))
    return found


def test_rows_come_at_their_distances():
    """True to the microsecond at speed 1."""
    times = at(0, 0.5, 0.5, 2, 2.000001)
    expected = [100.0, 100.5, 100.5, 102.0, 102.000001]
    assert expected == pytest.approx(sent(Pace(1, None), times, lambda now: now), abs=2e-6)


def test_speed_divides_the_distances():
    """A minute in a second."""
    assert [100, 101, 161] == pytest.approx(sent(Pace(60, None), at(0, 60, 3_660), lambda now: now), abs=1e-5)


def test_late_wakes_do_not_add_up():
    """A thousand sleeps that each end 3 ms late leave the last row 3 ms late, not three seconds."""
    times = at(*(n * 0.01 for n in range(1_000)))
    found = sent(Pace(1, None), times, lambda now: now + 0.003)
    assert all(0 <= late < 0.0031 for late in np.array(found) - (times - times[0]) / 1e6 - 100)


def test_everything_is_due_at_once_without_bounds():
    """The fastest speed waits for nothing."""
    assert 3 == Pace(math.inf, None).due(at(0, 5, 9_000), 1.0)


def test_a_pause_in_the_events_is_kept():
    """Of an hour at 3,600 times as fast, one second is left."""
    pace = Pace(3_600, None)
    times = at(0, 3_600)
    assert 1 == pace.due(times, 7.0)
    assert 1.0 == pytest.approx(pace.wait_s(int(times[1]), 7.0))
    assert 0 == pace.due(times[1:], 7.99)
    assert 1 == pace.due(times[1:], 8.0)


@settings(deadline=None)
@given(rate=st.floats(0.5, 10_000), late=st.floats(0, 0.05), rows=st.integers(1, 300))
def test_a_rate_is_never_exceeded(rate, late, rows):
    """Over any stretch of time, but for what a short burst may make up."""
    found = sent(Pace(math.inf, rate), at(*[0] * rows), lambda now: now + late)
    allowed = max(1.0, rate * BURST_S)
    for first in range(0, rows, 7):
        for last in range(first, rows, 11):
            assert last - first + 1 <= allowed + (found[last] - found[first]) * rate + 1.001


def test_a_rate_is_reached():
    """A thousand rows at a hundred a second take ten seconds."""
    found = sent(Pace(math.inf, 100), at(*[0] * 1_000), lambda now: now + 0.001)
    assert 10.0 == pytest.approx(found[-1] - found[0], abs=0.2)


def test_quiet_times_save_up_no_rows():
    """After a quiet hour the rate still holds."""
    pace = Pace(1, 10)
    times = at(0, *[3_600] * 100)
    assert 1 == pace.due(times, 0.0)
    assert 1 == pace.due(times[1:], 3_600.0)
