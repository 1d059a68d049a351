"""What the doctor says of log and lake, from numbers alone."""

from k2app.lake.floors import Place
from k2app.operate.doctor.findings import Verdict
from k2app.operate.doctor.floors import look_at_floors

TRADES = "market.equities.trades.asx"
COMPANIES = "market.equities.reference_data.asx"


def found(bounds, floors):
    return list(look_at_floors("log-1", bounds, floors, [TRADES]))


def test_lake_that_goes_on():
    """Rows to be ingested are counted over all partitions, those that the lake has never seen too."""
    (finding,) = found({(TRADES, 0): (5, 20), (TRADES, 1): (3, 10)}, {Place("log-1", TRADES, 0): 12})
    assert Verdict.OK is finding.verdict
    assert "15 rows to be ingested" in finding.text


def test_hole():
    """Offsets that the log lost before the lake had them are counted, and the switch is named."""
    (finding,) = found({(TRADES, 0): (5_000, 6_000)}, {Place("log-1", TRADES, 0): 4_200})
    assert Verdict.FAILED is finding.verdict
    assert "starts at 5,000, the lake ends at 4,200: 800 offsets are gone" in finding.text
    assert "K2_ON_HOLE=continue" in finding.advice


def test_compacted_topic_starts_where_it_likes():
    """Of reference data the log keeps the newest of each key: an offset that is gone is no hole."""
    (finding,) = found({(COMPANIES, 0): (50, 60)}, {Place("log-1", COMPANIES, 0): 40})
    assert Verdict.OK is finding.verdict


def test_topic_made_anew():
    """A log that ends before the lake does is not the one that the lake was written from."""
    (finding,) = found({(TRADES, 0): (0, 7)}, {Place("log-1", TRADES, 0): 12})
    assert Verdict.FAILED is finding.verdict
    assert "made anew or restored" in finding.text


def test_another_log():
    """The lake belongs to a log that is not the configured one: both are named."""
    (finding,) = found({(TRADES, 0): (0, 7)}, {Place("log-0", TRADES, 0): 12})
    assert Verdict.FAILED is finding.verdict
    assert "log-0" in finding.text
    assert "log-1" in finding.text
    assert "K2_ON_NEW_LOG=continue" in finding.advice


def test_log_that_was_followed_by_another():
    """Floors of an earlier log beside those of this one are history."""
    (finding,) = found({(TRADES, 0): (0, 7)}, {Place("log-0", TRADES, 0): 12, Place("log-1", TRADES, 0): 7})
    assert Verdict.OK is finding.verdict


def test_exchange_that_is_not_served_any_more():
    """Its rows stay; somebody may have forgotten it."""
    (finding,) = found({}, {Place("log-1", TRADES, 0): 12})
    assert Verdict.WARNING is finding.verdict
    assert "K2_EXCHANGES" in finding.advice
