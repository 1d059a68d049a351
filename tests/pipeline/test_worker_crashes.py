"""A worker killed with SIGKILL between every pair of steps of the commit order, and started again."""

import signal

import pytest
from homes import TRADES, Home, counting, trades

from k2app.faults import POINTS
from k2app.lake.audit import completeness
from k2app.lake.tables import Name

FLUSH = {"K2_FLUSH_MAX_ROWS": "150", "K2_LOG_FETCH_ROWS": "60", "K2_FLUSH_INTERVAL_S": "30"}
"""Several flushes of a few batches each, by rows and not by time."""


def publish_market(home: Home) -> None:
    """Two parts of a market with gaps, late rows, duplicates, rows without a number, and broken messages."""
    numbers = counting(symbols=5, each=60)
    missing = {("S1", 10), ("S1", 11), ("S2", 30), ("S3", 45)}
    for part in (numbers[:150], numbers[150:]):
        home.publish(trades([n for n in part if n not in missing]))
        home.publish_raw([(b"S1", b"not avro"), (b"S2", None), (b"S2", b"\0\0\0\0\x63tail")], partition=1)
        home.publish(trades([("S4", 20), ("S0", None), ("S4", 20)]))
    home.publish(trades([("S2", 30), ("S1", 11)]))


def publish_sequel(home: Home) -> None:
    """What follows: judged rightly only with the states that the first part left."""
    home.publish(trades([("S1", 10), ("S3", 60), ("S0", 61), ("S4", 65)]))


def everything(home: Home) -> dict:
    """Whatever must be the same in every run."""
    return {name: home.rows(name) for name in (Name.TRADES, Name.GAPS, Name.DEAD_LETTERS)} | {
        "floors": home.floors()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same market through workers that nobody kills."""
    home = Home(tmp_path_factory.mktemp("undisturbed") / "home", **FLUSH)
    publish_market(home)
    publish_sequel(home)
    home.drain()
    return everything(home)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(point, nth, tmp_path, undisturbed):
    """Whatever was under way, a restart gives the lake of an undisturbed run: offsets once, flags and gaps alike."""
    home = Home(tmp_path / "home", **FLUSH)
    publish_market(home)

    status, printed = home.run("--drain", K2_FAULT=f"{point}:{nth}")
    assert -signal.SIGKILL == status, printed
    publish_sequel(home)
    home.drain()

    assert undisturbed == everything(home)
    assert [] == completeness(home.table(Name.TRADES))


def test_undisturbed_run_is_what_it_should_be(undisturbed):
    """The run that the others are compared with has every offset, and judged it as written by hand."""
    trades_rows, letters = undisturbed[Name.TRADES], undisturbed[Name.DEAD_LETTERS]
    places = sorted((r["partition"], r["offset"]) for r in (*trades_rows, *letters))
    ends = undisturbed["floors"]
    assert [(p, o) for p in (0, 1) for o in range(ends[TRADES, p])] == places
    assert 6 == len(letters)
    flags = {}
    for row in trades_rows:
        flags.setdefault(row["sequence_flag"], []).append((row["symbol"], row["sequence"]))
    assert 5 == len(flags["first"])
    assert [("S1", 12), ("S2", 31), ("S3", 46), ("S4", 65)] == sorted(flags["gap"])
    assert [("S1", 10), ("S1", 11), ("S2", 30)] == sorted(flags["late"])
    assert [("S0", None)] * 2 == flags["unsequenced"]
    # The extra rows of the first part have S4's 20 with other content; the second part repeats them to the letter.
    assert [("S3", 60), ("S4", 20), ("S4", 20)] == sorted(flags["conflict"])
    assert [("S4", 20)] * 2 == flags["duplicate"]
