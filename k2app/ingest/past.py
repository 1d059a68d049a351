"""States of past trading dates that were evicted: asked of the lake when a record of theirs arrives after all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from k2app.market.sequence_flags import Int32s
from k2app.market.sequence_groups import Arrivals
from k2app.market.sequence_rules import CONTINUOUS_SCOPE
from k2app.market.sequence_states import States

Recall = Callable[[list[str], list[int]], States]
"""States of the given symbols on the given trading dates, as the lake's rows make them; more of them do no harm."""


@dataclass(frozen=True)
class Past:
    """What was evicted of one partition.

    Attributes
    ----------
    horizon
        Trading date (days since 1970-01-01) before which a state that is not known may have been evicted.
    recall
        Makes states from the lake.
    """

    horizon: int
    recall: Recall


def with_past(states: States, arrivals: Arrivals, past: Past) -> States:
    """States with those that the arrivals need and that were evicted; indices of the others stay."""
    old = np.flatnonzero((arrivals.scope < past.horizon) & (arrivals.scope != CONTINUOUS_SCOPE))
    if not len(old):
        return states
    missing = _unknown(states, arrivals, old)
    if not missing:
        return states
    symbols, dates = sorted({s for s, _ in missing}), sorted({d for _, d in missing})
    found = past.recall(symbols, dates).to_primitives()
    wanted = {f"{date}|{symbol}" for symbol, date in missing}
    return States.from_primitives(
        states.to_primitives() | {key: value for key, value in found.items() if key in wanted}
    )


def _unknown(
    states: States, arrivals: Arrivals, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> set[tuple[str, int]]:
    symbols = pa.array(arrivals.symbol.take(pa.array(rows)).to_pylist(), pa.string())
    scopes: Int32s = arrivals.scope[rows]
    unknown = states.keys.find(symbols, scopes) < 0
    return {
        (symbol, scope)
        for symbol, scope, new in zip(symbols.to_pylist(), scopes.tolist(), unknown.tolist(), strict=True)
        if new
    }
