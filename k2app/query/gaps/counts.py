"""Gaps by trading date: how many were opened, and what became of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from k2app.market.exchanges import Exchange
from k2app.query.coverage.dates import date_of
from k2app.query.gaps.gaps import Scope
from k2app.query.gaps.ranges import Range, outside, union
from k2app.query.reading.filters import Filter
from k2app.query.reading.reader import GAPS, Reader
from k2app.query.reading.snapshots import SnapshotSet

_BODY = """
SELECT exchange, asset_class, data_type, symbol, trading_date, epoch, event, from_sequence, to_sequence,
  epoch_us(timestamp) AS timestamp_us
FROM matching
"""

Counts = dict[tuple[str, str, str, date], Counter[str]]
"""By symbol, exchange, asset class and trading date: gaps by `open`, `filled` (all of it came) and `abandoned`."""


def count_gaps(reader: Reader, found: SnapshotSet, terms: Filter) -> Counts:
    """Count the gaps opened on each date: that of their scope; where there is none, of the record that showed them."""
    if not reader.files(found, GAPS, terms):
        return {}
    return count_events(reader.query(found, GAPS, terms, _BODY).to_pylist(), reader.exchanges)


def count_events(events: Iterable[dict[str, Any]], exchanges: Mapping[str, Exchange]) -> Counts:
    """Count gaps, given all events of their scopes in any order."""
    scopes: dict[Scope, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        scopes[Scope(*(event[name] for name in Scope._fields))].append(event)
    counts: Counts = defaultdict(Counter)
    for scope, inside in scopes.items():
        filled = union(_range(event) for event in inside if event["event"] == "filled")
        gone = union([*filled, *(_range(event) for event in inside if event["event"] == "abandoned")])
        for event in inside:
            if event["event"] == "opened":
                day = scope.trading_date or date_of(exchanges.get(scope.exchange), event["timestamp_us"])
                key = (scope.symbol, scope.exchange, scope.asset_class, day)
                counts[key][_outcome(_range(event), filled, gone)] += 1
    return dict(counts)


def _outcome(gap: Range, filled: list[Range], gone: list[Range]) -> str:
    """What became of a gap, given what was filled, and what was filled or abandoned, as `union` gives them."""
    if any(outside(gap, gone)):
        return "open"
    return "abandoned" if any(outside(gap, filled)) else "filled"


def _range(event: dict[str, Any]) -> Range:
    return event["from_sequence"], event["to_sequence"]
