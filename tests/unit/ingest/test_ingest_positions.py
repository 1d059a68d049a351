import pytest

from k2app.errors import OperatorError
from k2app.ingest.positions import LogBounds, Policy, Position, position
from k2app.lake.floors import Fingerprint, Floors, PartitionFloor, Place

TOPIC = "market.equities.trades.asx"
HERE = Place("log-a", TOPIC, 0)
MARK, OTHER = Fingerprint(1_000, 7), Fingerprint(1_000, 8)
STOP, GO_ON = Policy(), Policy("continue", "continue")


def floors(**at):
    """Floors of partition 0 by log id (`log_a`), each with the fingerprint `MARK`."""
    return Floors({Place(log.replace("_", "-"), TOPIC, 0): PartitionFloor(o, MARK) for log, o in at.items()})


@pytest.mark.parametrize("policy", [STOP, GO_ON])
@pytest.mark.parametrize(
    ("known", "log", "expected"),
    [
        (floors(), LogBounds(0, 0), Position(0)),
        (floors(), LogBounds(5, 9), Position(5)),
        (floors(log_a=4), LogBounds(0, 9, MARK), Position(4)),
        (floors(log_a=4), LogBounds(4, 9), Position(4)),
        (floors(log_a=9), LogBounds(0, 9, MARK), Position(9)),
        (floors(log_a=9), LogBounds(9, 9), Position(9)),
        (floors(log_a=4, log_b=99), LogBounds(0, 9, MARK), Position(4)),
        (floors(log_a=0), LogBounds(0, 9), Position(0)),
    ],
    ids=[
        "first start of an empty log",
        "first start of a trimmed log",
        "in the middle",
        "trimmed up to the floor",
        "at the end",
        "everything trimmed",
        "another log's floor is no matter",
        "a floor of 0 is a floor",
    ],
)
def test_reading_goes_on_at_the_floor(known, log, expected, policy):
    """A log that is as the lake left it is read from the floor, whatever the policy."""
    assert expected == position(HERE, known, log, policy)


def test_missing_fingerprints_prove_nothing():
    """Where the log or the lake has none (a skipped offset, a trimmed record), the floor stands."""
    unmarked = Floors({HERE: PartitionFloor(4, None)})
    assert Position(4) == position(HERE, unmarked, LogBounds(0, 9, MARK), STOP)
    assert Position(4) == position(HERE, floors(log_a=4), LogBounds(0, 9, None), STOP)


@pytest.mark.parametrize("policy", [STOP, GO_ON])
@pytest.mark.parametrize(
    ("log", "message"),
    [
        (LogBounds(0, 3), f"partition 0 of {TOPIC} .*ends at 3, the lake ends at 4: the log was recreated"),
        (LogBounds(0, 9, OTHER), "record 3 is not the one that the lake holds"),
    ],
)
def test_a_log_that_lost_its_past_is_refused_under_any_policy(log, message, policy):
    """A log that is shorter than the lake, or holds another record there, is never read."""
    with pytest.raises(OperatorError, match=message):
        position(HERE, floors(log_a=4), log, policy)


def test_hole_is_named_or_recorded():
    """Offsets gone from the log stop the worker, or are recorded as a hole that ends where reading starts."""
    log = LogBounds(7, 9)
    with pytest.raises(
        OperatorError, match=r"starts at 7, the lake ends at 4: 3 offsets are gone.*K2_ON_HOLE"
    ):
        position(HERE, floors(log_a=4), log, Policy(on_new_log="continue"))
    assert Position(7, (4, 7)) == position(HERE, floors(log_a=4), log, Policy(on_hole="continue"))


def test_new_log_is_named_or_read_from_its_start():
    """A lake written from another log takes this one only if the operator says so, or said so before."""
    with pytest.raises(OperatorError, match=r"from log log-b, this is log log-a.*K2_ON_NEW_LOG=continue"):
        position(HERE, floors(log_b=4), LogBounds(0, 9), Policy(on_hole="continue"))
    assert Position(0) == position(HERE, floors(log_b=4), LogBounds(0, 9), Policy(on_new_log="continue"))
    neighbour = Floors({**floors(log_b=4).partitions, Place("log-a", TOPIC, 1): PartitionFloor(2, MARK)})
    assert Position(0) == position(HERE, neighbour, LogBounds(0, 9), STOP)


def test_floors_of_other_topics_say_nothing():
    """A topic that is new to the lake is no new log."""
    other = Floors({Place("log-b", "market.equities.quotes.asx", 0): PartitionFloor(4, MARK)})
    assert Position(0) == position(HERE, other, LogBounds(0, 9), STOP)
