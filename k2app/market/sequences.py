"""The sequence check: what every record is to the numbering of its symbol, and what is missing.

Pure: records and states in; flags, new states and gap events out. Splitting a stream into batches
differently gives the same flags, epochs, states and events. A state is rebuilt by checking stored records
again, in offset order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from k2app.market.sequence_contiguous import judge_contiguous
from k2app.market.sequence_events import EVENT_SCHEMA, EventLog
from k2app.market.sequence_flags import UNSEQUENCED, Int8s, Int32s, Int64s
from k2app.market.sequence_groups import Arrivals, Groups, group
from k2app.market.sequence_increasing import judge_increasing
from k2app.market.sequence_rules import Rule
from k2app.market.sequence_states import Ranges, States
from k2app.market.sequence_verdicts import Heads, Verdicts, heads_of, states_after

MAX_OPEN_GAPS = 1_000
"""Ranges per key: beyond, a state would grow without bound and a record's check with it."""


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What a check found; n records.

    Attributes
    ----------
    flags
        int8[n]: codes into `FLAGS`; never `conflict`.
    epochs
        int32[n]: epoch of the record's key after the record; 0 of an `unsequenced` one.
    states
        The states after the records.
    changed
        int64[k]: indices into `states` of those that the records touched.
    events
        `EVENT_SCHEMA`.
    """

    flags: Int8s
    epochs: Int32s
    states: States
    changed: Int64s
    events: pa.Table


def check(arrivals: Arrivals, states: States, rule: Rule, *, max_open_gaps: int = MAX_OPEN_GAPS) -> Checked:
    """Check records against the states before them.

    Parameters
    ----------
    arrivals
        Records of one topic and partition, in offset order.
    states
        Of that partition, before them; stays as it is.
    rule
        Of the topic. `none` flags every record `unsequenced`.
    max_open_gaps
        Limit of open gaps per key, and of uncertain ranges; at least 1.
    """
    if max_open_gaps < 1:
        raise ValueError(f"max_open_gaps takes 1 or more, got {max_open_gaps}")
    flags = np.full(len(arrivals), UNSEQUENCED, np.int8)
    epochs = np.zeros(len(arrivals), np.int32)
    if rule.kind == "none" or not arrivals.has_sequence.any():
        return Checked(flags, epochs, states, np.zeros(0, np.int64), EVENT_SCHEMA.empty_table())
    groups, log = group(arrivals), EventLog()
    keys, index = states.keys.locate(groups.symbols, groups.scopes)
    after = states.grown_to(keys)
    prior = heads_of(after, index, index < len(states))
    verdicts = _judge(groups, prior, after, index, rule, max_open_gaps, log)
    flags[groups.order], epochs[groups.order] = verdicts.flags, verdicts.epochs
    events = log.table(groups.order, arrivals.symbol, arrivals.scope, arrivals.timestamp_us)
    return Checked(flags, epochs, states_after(after, index, groups, verdicts), index, events)


def _judge(
    groups: Groups,
    prior: Heads,
    states: States,
    index: Int64s,
    rule: Rule,
    max_open_gaps: int,
    log: EventLog,
) -> Verdicts:
    if rule.kind == "increasing":
        return judge_increasing(groups, prior)

    def holes_of(place: int) -> tuple[Ranges, Ranges]:
        state = int(index[place])
        return states.gaps.get(state, ()), states.uncertain.get(state, ())

    return judge_contiguous(groups, prior, holes_of, rule, max_open_gaps, log)
