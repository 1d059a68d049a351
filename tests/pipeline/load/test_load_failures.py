"""Loads that fail on the way, and files whose rows would come to be in the lake twice."""

import gzip
import random
from importlib import resources

from k2app.lake.tables import Name
from k2app.load import ledger
from tests.pipeline.load.commands import asx_trades, ledger_rows, on_log

HEADER = "symbol,timestamp,price,quantity,sequence\n"

K2 = ("--exchange", "asx", "--type", "trades")


def cut_and_whole(k2, home, rows: int = 9000) -> None:
    """Two files of that many numbered rows: one cut off in its middle, one whole."""
    lines = b"".join(b"A,2026-01-05T10:00:00Z,1.5,%d,%d\n" % (random.getrandbits(30), n) for n in range(rows))
    whole = gzip.compress(HEADER.encode() + lines)
    (k2.folder / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (k2.folder / "whole.csv.gz").write_bytes(whole)
    home.environment["K2_LOAD_BLOCK_BYTES"] = "65536"


def test_a_file_that_breaks_midway_ends_as_failed(k2, home):
    """In the ledger, with the row reached and where its rows are; the repaired file is loaded as if nothing was."""
    cut_and_whole(k2, home)
    done = k2("cut.csv.gz", *K2)
    assert (2, "") == (done.status, done.out)
    assert 1 == len(done.err.splitlines())
    [entry] = ledger_rows(home)
    sent = len(on_log(home))
    assert (ledger.FAILED, sent) == (entry.state, entry.rows)
    assert sent == sum(one.end - one.start for one in entry.sent)
    assert f"; row {sent:,} was reached, {sent:,} rows up to it are on the log" in done.err
    assert done.err == f"k2: {entry.reason}\n"

    (k2.folder / "whole.csv.gz").rename(k2.folder / "cut.csv.gz")
    assert 0 == k2("cut.csv.gz", *K2).status
    assert [ledger.FAILED, ledger.SENT] == [one.state for one in ledger_rows(home)]
    home.drain()
    visible = [row["sequence"] for row in home.rows(Name.TRADES) if row["sequence_flag"] != "duplicate"]
    assert list(range(9000)) == sorted(visible)


def test_a_repaired_file_whose_copies_nothing_tells_waits_for_the_retraction(k2, home):
    """The rows of the first attempt would stand beside it."""
    cut_and_whole(k2, home)
    unsequenced = (*K2, "--sequence", "none")
    assert 2 == k2("cut.csv.gz", *unsequenced).status
    (k2.folder / "whole.csv.gz").rename(k2.folder / "cut.csv.gz")
    [entry] = ledger_rows(home)
    done = k2("cut.csv.gz", *unsequenced)
    assert 2 == done.status
    assert f"`k2 retract {entry.load_id}` takes them back, then the file can be loaded" in done.err
    assert 0 == k2.other("retract", entry.load_id).status
    assert 0 == k2("cut.csv.gz", *unsequenced).status


def test_the_same_bytes_under_a_changed_profile_are_refused(k2, home):
    """With numbers of the loader's own, they would be in the lake twice; --again says that this is wanted."""
    shipped = resources.files("k2app.load").joinpath("profiles", "asx.toml").read_text()
    k2.write("mine.toml", shipped)
    k2.write("9001.csv", asx_trades(3))
    mine = ("9001.csv", "--profile", "mine.toml", "--type", "trades", "--symbol", "KTO")
    assert 0 == k2(*mine).status
    k2.write("mine.toml", shipped.replace('zone = "exchange"', 'zone = "UTC"'))
    done = k2(*mine)
    assert (2, "") == (done.status, done.out)
    [entry] = ledger_rows(home)
    assert f"(load {entry.load_id}) with the profile mine@" in done.err
    assert 3 == len(on_log(home))
    assert 0 == k2(*mine, "--again").status
    assert 0 == k2.other("retract", entry.load_id).status
    assert [1, 2, 3, 4, 5, 6] == [row["sequence"] for row in on_log(home)]
