"""Open gaps by topic, and of the few symbols that have most of them. For a thread: there may be many states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import nsmallest

from faust.types import TP

from k2app.market.sequence_states import States
from k2app.metrics import IngestMetrics, Series

PartitionStates = Sequence[tuple[TP, States]]
"""States of the partitions that are read."""


class GapGauges:
    """Open gaps of all tables of a worker.

    Parameters
    ----------
    states
        Asks each table, by name, for its states.
    top
        Symbols with a series of their own; 0: none.
    """

    def __init__(
        self, states: Mapping[str, Callable[[], PartitionStates]], metrics: IngestMetrics, top: int
    ) -> None:
        self._states = states
        self._top = top
        self._by_topic, self._by_symbol = Series(metrics.open_gaps), Series(metrics.top_open_gaps)

    def look(self) -> None:
        """Bring the gauges up to date."""
        found = {table: open_gaps(ask()) for table, ask in self._states.items()}
        topics: Counter[tuple[str, ...]] = Counter()
        symbols: Counter[tuple[str, ...]] = Counter()
        for table, gaps in found.items():
            for (topic, symbol), count in gaps.items():
                topics[table, topic] += count
                if count:
                    symbols[table, topic, symbol] = count
        self._by_topic.show(topics)
        # Of equal ones those whose names come first: no series flickers.
        top = nsmallest(self._top, symbols.items(), key=lambda one: (-one[1], one[0]))
        self._by_symbol.show(dict(top))


def open_gaps(states: PartitionStates) -> Counter[tuple[str, str]]:
    """Open gaps by topic and symbol; a topic without any has the symbol "" with 0."""
    found: Counter[tuple[str, str]] = Counter()
    for tp, held in states:
        found[tp.topic, ""] += 0
        for index, ranges in held.gaps.items():
            found[tp.topic, held.keys.symbols[int(held.keys.symbol_ids[index])].as_py()] += len(ranges)
    return found
