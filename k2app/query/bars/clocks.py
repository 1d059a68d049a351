"""The clocks of a question: one for each exchange, on columns and in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from k2app.errors import RequestError
from k2app.market.clocks import DISTANT_DAYS, Clock, SessionClock, Steps, UtcClock, session_clock
from k2app.market.exchanges import Exchange
from k2app.market.sessions import DAY_US

MAX_SESSIONS = 100_000
"""Trading dates that a range may span: 270 years. Each is asked of the zone's rules."""

CLOCK_CHANGES_US = 2 * DAY_US
"""Microseconds that an interval of whole local days may be longer than it says."""

TIME = "us"
"""SQL name of a row's time in microseconds."""


@dataclass(frozen=True)
class Clocks:
    """Clocks by exchange.

    Parameters
    ----------
    utc
        Of every exchange that is not among `sessions`.
    sessions
        By exchange.
    """

    utc: Clock
    sessions: Mapping[str, SessionClock] = field(default_factory=dict)

    def of(self, exchange: str) -> Clock:
        """The clock of an exchange."""
        return self.sessions.get(exchange, self.utc)

    @property
    def longest_us(self) -> int:
        """No interval is longer."""
        interval = self.utc.interval
        return interval.us + (CLOCK_CHANGES_US if self.sessions and interval.days is not None else 0)

    def sql(self, only: str | None) -> tuple[str, dict[str, object]]:
        """Start of a row's interval (BIGINT), from the columns `us` and `exchange`.

        Parameters
        ----------
        only
            The one exchange that rows are of, where that is known.
        """
        if only is not None or not self.sessions:
            return clock_sql(self.of(only or "")), {}
        cases = [
            f"WHEN exchange = $clock_{number}::VARCHAR THEN {clock_sql(clock)}"
            for number, clock in enumerate(self.sessions.values())
        ]
        names: dict[str, object] = {f"clock_{number}": name for number, name in enumerate(self.sessions)}
        return f"CASE {' '.join(cases)} ELSE {clock_sql(self.utc)} END", names


def session_clocks(utc: UtcClock, exchanges: Mapping[str, Exchange], first_us: int, last_us: int) -> Clocks:
    """Clocks for times in `[first_us, last_us]`.

    Raises
    ------
    RequestError
        That is longer than zones are asked for.
    """
    if (last_us - first_us) // DAY_US > MAX_SESSIONS:
        raise RequestError(
            "align", f"session takes ranges of at most {MAX_SESSIONS} days; give start and end"
        )
    # An exchange that is not configured has the days of UTC.
    days = SessionClock(utc.interval, 0, 0, ((-(2**63), 0),), ((0, 0),))
    return Clocks(
        days,
        {
            name: session_clock(exchange, utc.interval, first_us, last_us)
            for name, exchange in sorted(exchanges.items())
        },
    )


def clock_sql(clock: Clock) -> str:
    """`clock.floor` of the column `us`. Times are counted from long ago: integer division truncates towards zero."""
    if isinstance(clock, UtcClock):
        origin, length = clock.interval.origin_us, clock.interval.us
        return f"((us - ({origin})) // {length} * {length} + ({origin}))"
    return _session_sql(clock)


def _session_sql(clock: SessionClock) -> str:
    local = f"(us + {_steps_sql(clock.offsets, TIME)} - {clock.session_us})"
    date = f"(({local} + {DISTANT_DAYS * DAY_US}) // {DAY_US} - {DISTANT_DAYS - clock.evening_before})"
    days = clock.interval.days
    if days is not None:
        distant = (DISTANT_DAYS // days + 2) * days - clock.interval.first_day
        return _start_sql(clock, f"({date} - ({date} + {distant}) % {days})")
    start = _start_sql(clock, date)
    return f"({start} + (us - {start}) // {clock.interval.us} * {clock.interval.us})"


def _start_sql(clock: SessionClock, date: str) -> str:
    return f"({date} * {DAY_US} + {_steps_sql(clock.shifts, date)})"


def _steps_sql(steps: Steps, key: str) -> str:
    """The value in force at a key."""
    (_, first), *others = steps
    cases = " ".join(f"WHEN {key} >= {start} THEN {value}" for start, value in reversed(others))
    return f"(CASE {cases} ELSE {first} END)" if cases else f"({first})"


def cuts_intervals(clocks: Clocks, exchanges: list[str], timestamp_us: int) -> bool:
    """Whether a time lies within an interval, not at its start, on any of these exchanges."""
    times = np.array([timestamp_us], np.int64)
    return any(int(clocks.of(name).floor(times)[0]) != timestamp_us for name in exchanges)
