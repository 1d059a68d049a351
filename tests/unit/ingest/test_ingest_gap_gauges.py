"""Open gaps on /metrics: of every topic, and of the symbols that have most."""

from faust.types import TP
from prometheus_client import CollectorRegistry

from k2app.ingest.gap_gauges import GapGauges
from k2app.market.sequence_states import States
from k2app.metrics import IngestMetrics


def states(**gaps):
    """States of symbols on one trading date, each with so many open gaps."""
    found = {
        f"20000|{symbol}": [1, 1000, 0, 0, [0] * 9, [[n * 10, n * 10] for n in range(1, count + 1)], []]
        for symbol, count in gaps.items()
    }
    some = States.empty().to_primitives()
    assert {} == some
    width = States.empty().counts.shape[1]
    for value in found.values():
        value[4] = [0] * width
    return States.from_primitives(found)


class Shown:
    """Gauges over what a test says."""

    def __init__(self, top):
        self.registry, self.partitions = CollectorRegistry(), []
        self.gauges = GapGauges({"trades": lambda: self.partitions}, IngestMetrics(self.registry), top)

    def look(self, *partitions):
        self.partitions = partitions
        self.gauges.look()
        found = {m.name: m.samples for m in self.registry.collect()}
        topics = {s.labels["topic"]: s.value for s in found["k2_open_gaps"]}
        symbols = {s.labels["symbol"]: s.value for s in found["k2_open_gaps_of_symbol"]}
        return topics, symbols


def test_partitions_of_a_topic_are_counted_together():
    """And one without gaps is there, with 0."""
    shown = Shown(5)
    found = shown.look((TP("t", 0), states(A=2, B=0)), (TP("t", 1), states(C=3)), (TP("u", 0), states(D=0)))
    assert ({"t": 5, "u": 0}, {"A": 2, "C": 3}) == found


def test_only_the_worst_symbols_have_a_series():
    """Those that leave the top lose theirs, and equal ones keep their order."""
    shown = Shown(2)
    assert {"C": 3, "A": 2} == shown.look((TP("t", 0), states(A=2, B=1, C=3, D=2)))[1]
    assert {"B": 4, "D": 2} == shown.look((TP("t", 0), states(A=1, B=4, D=2)))[1]
    assert {} == shown.look((TP("t", 0), states(A=0)))[1]


def test_none_are_shown_if_none_shall_be():
    """K2_METRICS_TOP_SYMBOLS=0: no symbol is a label."""
    assert ({"t": 2}, {}) == Shown(0).look((TP("t", 0), states(A=2)))


def test_partitions_that_are_gone_are_not_shown():
    """Of a topic whose partitions are all others' now, nothing is told."""
    shown = Shown(2)
    shown.look((TP("t", 0), states(A=1)))
    assert ({}, {}) == shown.look()
