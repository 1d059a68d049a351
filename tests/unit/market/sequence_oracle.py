"""The case table as a loop over records, with Python's integers and plain lists: slow and obvious."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

HOUR_US = 3_600_000_000


@dataclass
class OracleState:
    low: int
    high: int
    high_time_us: int
    epoch: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    uncertain: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Oracle:
    rule: object
    limit: int
    states: dict = field(default_factory=dict)
    flags: list = field(default_factory=list)
    epochs: list = field(default_factory=list)
    events: list = field(default_factory=list)

    def run(self, records):
        for row, record in enumerate(records):
            self.row, self.record, self.index = row, record, 0
            flag, epoch = self.judge(*record)
            self.flags.append(flag)
            self.epochs.append(epoch)
        return self

    def judge(self, symbol, scope, seq, time):
        if seq is None or self.rule.kind == "none":
            return "unsequenced", 0
        state = self.states.get((symbol, scope))
        if state is None:
            state = self.states[symbol, scope] = OracleState(seq, seq, time)
            flag = "first"
            first = self.rule.first
            if first is not None and first < seq:
                state.low = first
                self.open(state, first, seq - 1)
        elif self.rule.kind == "increasing":
            flag = self.increasing(state, seq, time)
        else:
            flag = self.contiguous(state, seq, time)
        state.counts[flag] = state.counts.get(flag, 0) + 1
        return flag, state.epoch

    def increasing(self, state, seq, time):
        state.low = min(state.low, seq)
        if seq > state.high:
            state.high, state.high_time_us = seq, time
            return "ok"
        return "duplicate" if seq == state.high else "regressed"

    def contiguous(self, state, seq, time):  # noqa: PLR0911 - one return per row of the table
        continuous = self.rule.scope == "continuous"
        if continuous and 2 * seq < state.high and time >= state.high_time_us + HOUR_US:
            for start, end in state.gaps:
                unknown = sum(u_end - u + 1 for u, u_end in state.uncertain if start <= u <= end)
                self.event("abandoned", state, start, end, end - start + 1 - unknown)
            state.gaps, state.uncertain, state.epoch = [], [], state.epoch + 1
            state.low = state.high = seq
            state.high_time_us = time
            return "reset"
        if seq == state.high + 1:
            state.high, state.high_time_us = seq, time
            return "ok"
        if seq > state.high + 1:
            start, state.high, state.high_time_us = state.high + 1, seq, time
            self.open(state, start, seq - 1)
            return "gap"
        if inside(seq, state.gaps) and not inside(seq, state.uncertain):
            self.event("filled", state, seq, seq)
            state.gaps = without(seq, state.gaps, state.uncertain)
            self.limit_ranges(state)
            return "late"
        if seq < state.low:
            end, state.low = state.low - 1, seq
            if seq + 1 <= end:
                self.open(state, seq + 1, end)
            return "late"
        if inside(seq, state.uncertain):
            return "uncertain"
        if seq < state.high and time > state.high_time_us:
            return "regressed"
        return "duplicate"

    def open(self, state, start, end):
        self.event("opened", state, start, end)
        state.gaps = sorted([*state.gaps, (start, end)])
        self.limit_ranges(state)

    def limit_ranges(self, state):
        while len(state.gaps) > self.limit:
            state.gaps, start, end = join_closest(state.gaps)
            if start <= end:
                kept = [u for u in state.uncertain if not start <= u[0] <= end]
                state.uncertain = sorted([*kept, (start, end)])
                self.event("merged", state, start, end)
        while len(state.uncertain) > self.limit:
            state.uncertain, start, end = join_closest(state.uncertain)
            self.event("merged", state, start, end)
            trimmed = [trim(gap, state.uncertain) for gap in state.gaps]
            state.gaps = [gap for gap in trimmed if gap[0] <= gap[1]]

    def event(self, event, state, start, end, missing=None):
        missing = end - start + 1 if missing is None else missing
        symbol, scope, _, time = self.record
        self.events.append(
            {
                "row": self.row,
                "event_index": self.index,
                "event": event,
                "symbol": symbol,
                "scope": scope,
                "epoch": state.epoch,
                "from_sequence": start,
                "to_sequence": end,
                "missing": min(missing, 2**63 - 1),
                "severity": "small" if missing <= 10 else "large",
                "timestamp_us": time,
            }
        )
        self.index += 1


def inside(number, ranges):
    return any(start <= number <= end for start, end in ranges)


def without(number, gaps, uncertain):
    left = []
    for start, end in gaps:
        if start <= number <= end:
            parts = [trim((start, number - 1), uncertain), trim((number + 1, end), uncertain)]
            left += [part for part in parts if part[0] <= part[1]]
        else:
            left.append((start, end))
    return left


def trim(gap, uncertain):
    start, end = gap
    for u_start, u_end in uncertain:
        if u_start <= start <= u_end:
            start = u_end + 1
    for u_start, u_end in reversed(uncertain):
        if u_start <= end <= u_end:
            end = u_start - 1
    return start, end


def join_closest(ranges):
    distances = [after[0] - before[1] for before, after in pairwise(ranges)]
    i = distances.index(min(distances))
    joined = (ranges[i][0], ranges[i + 1][1])
    return [*ranges[:i], joined, *ranges[i + 2 :]], ranges[i][1] + 1, ranges[i + 1][0] - 1
