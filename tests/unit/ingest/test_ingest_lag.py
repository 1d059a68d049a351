"""How old the oldest record is that waits: against every look kept and searched."""

from hypothesis import given
from hypothesis import strategies as st

from k2app.ingest.lag import MARKS, Lag

STEPS = st.lists(
    st.tuples(st.integers(-3, 5), st.integers(0, 5), st.floats(0.1, 3.0)), min_size=1, max_size=60
)
"""Records that came (below 0: turned out to be none), that were committed, and seconds until the next look."""


def lags(lag, steps, begun=0):
    """Lag at each look, and what it is if every look is kept."""
    end = floor = begun
    now_s, seen = 100.0, []
    for came, committed, wait_s in steps:
        before, end = end, max(end + came, floor)
        floor = min(end, floor + committed)
        seen = [(at_s, offset) for at_s, offset in seen if offset < end]
        seen += [(now_s, offset) for offset in range(before, end)]
        oldest_s = min((at_s for at_s, offset in seen if offset >= floor), default=now_s)
        yield lag.look(end, floor, now_s), now_s - oldest_s
        now_s += wait_s


@given(STEPS, st.integers(0, 10))
def test_lag_is_the_age_of_the_oldest_record_that_waits(steps, begun):
    """Since it was first seen on the log; 0 where none waits, however busy the log is."""
    for found, expected in lags(Lag(), steps, begun):
        assert expected == found


def test_lake_that_follows_a_busy_log_has_a_small_lag():
    """A producer that never rests: the lake is never at the end, and always a step behind."""
    lag = Lag()
    found = [lag.look(end=10 * n, floor=10 * (n - 2), now_s=float(n)) for n in range(2, 5_000)]
    assert {1.0} == set(found[2:])


def test_lake_that_is_stuck_for_ever_takes_bounded_memory():
    """The lag stays that of the oldest record, and what is kept stays small."""
    lag = Lag()
    for second in range(1, 20 * MARKS):
        assert second - 1 == lag.look(end=second, floor=0, now_s=float(second))
    assert len(lag._marks) <= MARKS
    assert lag.look(end=20 * MARKS, floor=20 * MARKS, now_s=1e6) == 0.0


def test_lag_of_marks_that_were_joined_is_never_too_short():
    """Where there are too many, the records of two count from the older one's time."""
    lag, n = Lag(), 3 * MARKS
    for second in range(1, n):
        lag.look(end=second, floor=0, now_s=float(second))
    for floor in range(n - 1):
        oldest = float(n - 1 - (floor + 1))
        assert oldest <= lag.look(end=n - 1, floor=floor, now_s=float(n - 1)) <= oldest + 0.01 * n
