"""`k2 load` as a person meets it: what it prints, refuses, keeps, and leaves alone."""

import gzip
import json
import os
import random
import re
import shutil
import threading

import pytest

from k2app.lake.tables import Name
from k2app.load import ledger, reservations
from tests.pipeline.load.commands import ASX_FILES, asx_trades, ledger_rows, loaded, on_log
from tests.processes import ended

ASX = ("--profile", "asx", "--type", "trades", "--symbol", "KTO")

HEADER = "symbol,timestamp,price,quantity,sequence\n"

K2_ROWS = HEADER + "".join(f"A,2026-01-05T10:00:0{i}Z,1.5,{i},{i}\n" for i in range(1, 4))

K2 = ("--exchange", "asx", "--type", "trades")


@pytest.fixture
def files(k2):
    """Files of several kinds in the folder of the command."""
    k2.write("k2.csv", K2_ROWS)
    k2.write("empty.csv", "")
    k2.write("9001.csv", asx_trades(3))
    shutil.copy(ASX_FILES / "company-info.csv", k2.folder)
    os.mkfifo(k2.folder / "pipe.csv")
    return k2


def untouched(home) -> bool:
    """Nothing on the log, nothing in the ledger."""
    return [] == on_log(home) and [] == ledger_rows(home)


# --- what is printed


def test_one_line_a_file_in_a_pipe(files):
    """Names as given, counts, the load's id, a sum of several; no colour, nothing on standard error."""
    done = files(
        "k2.csv", "9001.csv", "--profile", "asx", "--type", "trades", "--symbol", "KTO", "--limit", 2
    )
    assert 2 == done.status  # k2.csv is none of the exchange's files
    done = files("9001.csv", "./9001.csv", *ASX)
    assert (0, "") == (done.status, done.err)
    # A load that takes long says how fast it was.
    rate = r"( [\d,]+ rows/s,)?"
    load, time = r"load [0-9a-f]{32}", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    expected = [
        rf"9001\.csv: 3 rows, 0 rejected,{rate} {load}",
        rf"9001\.csv: 3 rows, 0 rejected,{rate} {load}",
        rf"  loaded before, {time} \({load}\)",
        r"2 files: 6 rows, 0 rejected",
    ]
    lines = done.out.splitlines()
    assert len(expected) == len(lines)
    for pattern, line in zip(expected, lines, strict=True):
        assert re.fullmatch(pattern, line), line


def test_local_times_that_came_twice_are_told(k2):
    """The hour after daylight saving ended has two meanings; the line says which one was taken."""
    shutil.copy(ASX_FILES / "daylight-saving-ends.csv", k2.folder)
    done = k2("daylight-saving-ends.csv", *ASX)
    assert (
        "  1 row has a local time that came twice (daylight saving ended); the first was taken\n" in done.out
    )


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("k2.csv", "--type", "trades"),
            "profile k2 does not say whose files these are: give --exchange NAME",
        ),
        (
            ("k2.csv", "--type", "trades", "--exchange", "nope"),
            "exchange 'nope' is not served; served are asx",
        ),
        (("nope.csv", *K2), "nope.csv cannot be read: No such file or directory"),
        ((".", *K2), ". cannot be read: Is a directory"),
        (("empty.csv", *K2), "empty.csv is empty"),
        (("k2.csv", *K2, "--profile", "nope"), "profile 'nope' is not known"),
        (("k2.csv", *ASX), "k2.csv: no row of the first 4 could be read as trades with profile asx"),
        (("9001.csv", *K2, "--symbol", "KTO"), "9001.csv: the header lacks price"),
        (("9001.csv", "--profile", "asx", "--type", "trades"), "9001.csv: its rows do not name a symbol"),
        (("9001.csv", *ASX, "--sequence", "source"), "--sequence source: the profile names no column"),
        (
            ("k2.csv", "--profile", "asx", "--type", "trades", "--reference", "company-info.csv"),
            "k2.csv: no company id or symbol 'k2' in company-info.csv",
        ),
        (("9001.csv", *ASX, "--reference", "nope.csv", "--symbol", ""), "nope.csv cannot be read"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(files, home, arguments, says):
    """Exit 2, one line on standard error, and nothing happened."""
    done = files(*arguments)
    assert (2, "", 1) == (done.status, done.out, len(done.err.splitlines())), done
    assert f"k2: {says}" in done.err
    assert untouched(home)


def test_a_later_file_is_looked_at_before_the_first_is_loaded(files, home):
    """Half of a command is not done because of a name mistyped at its end."""
    done = files("9001.csv", "nope.csv", *ASX)
    assert (2, "") == (done.status, done.out)
    assert untouched(home)


def test_a_pipe_is_refused(files):
    """A file is read twice; what can be read once only would hang."""
    done = files("pipe.csv", *ASX)
    assert 2 == done.status
    assert "pipe.csv is not a file on a disk" in done.err


def test_numbers_are_not_assigned_where_the_exchange_counts_otherwise(files):
    """Numbers that start again every day would look like a venue gone wrong."""
    arguments = (*K2[2:], "--exchange", "generic", "--sequence", "assign")
    done = files("k2.csv", *arguments, K2_EXCHANGES="asx,generic")
    assert 2 == done.status
    assert (
        "numbers every trading date from 1, and trades of exchange generic are numbered otherwise" in done.err
    )


def test_a_file_written_to_meanwhile_is_refused(k2, home):
    """What is counted, numbered and sent is one file; a reload of the whole would not be the same."""
    k2.write("grows.csv", asx_trades(3000))
    stop = threading.Event()

    def grow():
        with (k2.folder / "grows.csv").open("a") as file:
            while not stop.wait(0.001):
                file.write(asx_trades(1))
                file.flush()

    writer = threading.Thread(target=grow, daemon=True)
    writer.start()
    done = k2("grows.csv", *ASX)
    stop.set()
    ended(writer)
    assert 2 == done.status
    assert "grows.csv changed while it was read; nothing was loaded" in done.err
    assert untouched(home)


# --- rejects


def rejects_of(k2, done) -> list[dict]:
    """What the file named by the command's output holds."""
    [name] = re.findall(r"rejects: (.+)|see (.+\.jsonl)", done.out + done.err)
    path = k2.folder / (name[0] or name[1])
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rejects_are_kept_and_counted(k2, home):
    """One JSON object per refused row: file, line, bytes, field, reason; the other rows are loaded."""
    shutil.copy(ASX_FILES / "malformed.csv", k2.folder)
    done = k2("malformed.csv", *ASX)
    assert loaded("malformed.csv", 2, 5).match(done.out)
    rejects = rejects_of(k2, done)
    raw = (ASX_FILES / "malformed.csv").read_text().splitlines()
    assert [(n, raw[n - 1]) for n in range(2, 7)] == [(one["line"], one["raw"]) for one in rejects]
    assert [None, "price", "quantity", "timestamp", "quantity"] == [one["field"] for one in rejects]
    assert {"malformed.csv"} == {one["file"] for one in rejects}
    assert all(one["reason"] for one in rejects)
    [entry] = ledger_rows(home)
    assert (2, 5, 1) == (entry.rows, entry.rejects, len(list((home.path / "rejects").iterdir())))
    assert [1, 2] == [row["sequence"] for row in on_log(home)]


def test_rejects_go_where_they_are_asked_for(k2, home):
    """--rejects names the folder."""
    shutil.copy(ASX_FILES / "malformed.csv", k2.folder)
    done = k2("malformed.csv", *ASX, "--rejects", "bad")
    assert "  rejects: bad/" in done.out
    assert 5 == len(rejects_of(k2, done))
    assert not (home.path / "rejects").exists()


def test_strict_allows_no_reject(k2, home):
    """Exit 2, nothing sent, nothing reserved; the rejects are kept to be looked at."""
    shutil.copy(ASX_FILES / "malformed.csv", k2.folder)
    done = k2("malformed.csv", *ASX, "--strict")
    assert (2, "") == (done.status, done.out)
    assert "malformed.csv: 5 of 7 rows rejected, --strict allows none; nothing was loaded; see" in done.err
    assert 5 == len(rejects_of(k2, done))
    assert untouched(home)
    k2.write("good.csv", asx_trades(3))
    assert 0 == k2("good.csv", *ASX, "--strict").status
    assert 3 == len(on_log(home))


# --- trying, and loading a part


def test_a_dry_run_changes_nothing(k2, home):
    """It tells what a load would; of rejects the newest trial's are kept, by the file's content."""
    shutil.copy(ASX_FILES / "malformed.csv", k2.folder)
    for _ in range(2):
        done = k2("malformed.csv", *ASX, "--dry-run", "--wait")
        assert 0 == done.status
        assert done.out.startswith("malformed.csv: 2 rows, 5 rejected, nothing was sent (dry run)\n")
    assert 5 == len(rejects_of(k2, done))
    [kept] = (home.path / "rejects").iterdir()
    assert re.fullmatch(r"dry-run-[0-9a-f]{12}\.jsonl", kept.name)
    assert untouched(home)
    assert 2 == k2("malformed.csv", *ASX, "--dry-run", "--strict").status


def test_a_dry_run_tells_that_numbers_go_on(k2):
    """A corrected copy of a file is another file: before it doubles the rows, the trial says so."""
    k2(k2.write("a.csv", asx_trades(3)), *ASX)
    k2.write("corrected.csv", asx_trades(3, price=2))
    told = "  KTO on 2014-03-10: rows of another file came before; numbered from 4 on\n"
    assert told in k2("corrected.csv", *ASX, "--dry-run").out
    assert told in k2("corrected.csv", *ASX).out


def test_limit_loads_the_first_rows_and_the_rest_later(k2, home):
    """The numbers are the whole file's: what is loaded later fits on."""
    k2.write("9001.csv", asx_trades(10))
    assert "9001.csv: 4 rows, 0 rejected" in k2("9001.csv", *ASX, "--limit", 4, "--dry-run").out
    assert "9001.csv: 4 rows, 0 rejected" in k2("9001.csv", *ASX, "--limit", 4).out
    assert [1, 2, 3, 4] == [row["sequence"] for row in on_log(home)]
    k2("9001.csv", *ASX)
    assert [1, 2, 3, 4, *range(1, 11)] == [row["sequence"] for row in on_log(home)]


def test_a_file_of_a_header_alone_is_loaded(k2, home):
    """A day without trades is a day, and --wait has nothing to wait for."""
    k2.write("quiet.csv", HEADER)
    done = k2("quiet.csv", *K2, "--wait")
    assert 0 == done.status
    assert done.out.startswith("quiet.csv: 0 rows, 0 rejected")
    assert "quiet.csv: in the lake: no rows" in done.out
    assert [] == on_log(home)


# --- the ledger


def test_the_same_file_gets_the_same_numbers(k2, home):
    """Whatever it is called; another file of the same symbol and date goes on where it ended."""
    k2.write("9001.csv", asx_trades(3))
    shutil.copy(k2.folder / "9001.csv", k2.folder / "copy.csv")
    k2.write("other.csv", asx_trades(2, price=2))
    for name in ("9001.csv", "other.csv", "copy.csv", "other.csv"):
        assert 0 == k2(name, *ASX).status
    assert [1, 2, 3, 4, 5, 1, 2, 3, 4, 5] == [row["sequence"] for row in on_log(home)]


def test_the_ledger_says_where_the_rows_are(k2, home):
    """A load is reserved with its numbers, then sent with its offsets."""
    k2.write("9001.csv", asx_trades(3) + asx_trades(2, date="03/11/2014"))
    k2("9001.csv", *ASX)
    [entry] = ledger_rows(home)
    assert (ledger.SENT, "9001.csv", 5, 0, "KTO") == (
        entry.state,
        entry.file,
        entry.rows,
        entry.rejects,
        entry.symbol,
    )
    assert [(1, 3), (1, 2)] == [(one.first, one.last) for _, one in sorted(entry.numbers.items())]
    [sent] = entry.sent
    assert (0, 5) == (sent.start, sent.end)
    assert {entry.load_id} == {row["load_id"] for row in on_log(home)}
    assert 2 == len(home.table(Name.LOADS).snapshots())


def test_a_file_read_otherwise_than_before_is_refused(k2, home):
    """Another time zone makes other trading dates: rows would get the numbers of others."""
    k2.write("9001.csv", "03/10/2014,09:00:00.000,1,1,0,,\n03/10/2014,23:00:00.000,1,1,0,,\n")
    assert 0 == k2("9001.csv", *ASX).status
    (home.path / "exchanges.toml").write_text(
        "[asx]\npartitions = 2\ntime_zone = 'Australia/Perth'\nsession_start = '10:00'\n"
    )
    done = k2("9001.csv", *ASX)
    assert 2 == done.status
    assert "is read otherwise now" in done.err
    assert 2 == len(on_log(home))


UNTELLABLE = {
    "no sequence asked for": (asx_trades(3), (*ASX, "--sequence", "none"), "its rows have no sequence"),
    "no column of numbers": (
        "symbol,timestamp,price,quantity\nA,2026-01-05T10:00:00Z,1.5,1\n",
        K2,
        "1 of its 1 rows have no sequence",
    ),
    "a row without a number": (
        HEADER + "A,2026-01-05T10:00:00Z,1.5,1,\nA,2026-01-05T10:00:00Z,1.5,1,7\n",
        K2,
        "1 of its 2 rows have no sequence",
    ),
}


@pytest.mark.parametrize("kind", UNTELLABLE)
def test_a_second_copy_that_nothing_would_tell_is_refused(k2, home, kind):
    """It would double every answer; --again says that this is wanted."""
    text, arguments, says = UNTELLABLE[kind]
    k2.write("a.csv", text)
    assert 0 == k2("a.csv", *arguments).status
    rows = len(on_log(home))
    done = k2("a.csv", *arguments)
    assert (2, "") == (done.status, done.out)
    assert says in done.err
    assert "--again loads it once more" in done.err
    assert rows == len(on_log(home))
    assert 0 == k2("a.csv", *arguments, "--again").status
    assert 2 * rows == len(on_log(home))


def test_an_unfinished_load_that_nothing_would_tell_is_taken_back(k2, home):
    """A packed file cut off in its middle: the line says how many rows were sent, and how they are taken back."""
    whole = gzip.compress(
        HEADER.encode()
        + b"".join(b"A,2026-01-05T10:00:00Z,1.5,%d,\n" % random.getrandbits(40) for _ in range(9000))
    )
    (k2.folder / "cut.csv.gz").write_bytes(whole[:-3000])
    home.environment["K2_LOAD_BLOCK_BYTES"] = "65536"
    unsequenced = (*K2, "--sequence", "none")
    done = k2("cut.csv.gz", *unsequenced)
    assert (2, "") == (done.status, done.out)
    assert "cut.csv.gz cannot be read to its end" in done.err
    [rows, load] = re.search(
        r"; row [\d,]+ was reached, ([\d,]+) rows up to it are on the log, `k2 retract (\w{32})`", done.err
    ).groups()
    assert int(rows.replace(",", "")) == len(on_log(home)) > 0

    done = k2("cut.csv.gz", *unsequenced)
    assert 2 == done.status
    assert "cut.csv.gz was begun at " in done.err
    assert f"`k2 retract {load}` takes back what was sent, and the file can be loaded anew" in done.err
    assert 0 == k2.other("retract", load).status
    assert "cut.csv.gz cannot be read to its end" in k2("cut.csv.gz", *unsequenced).err


def test_numbers_of_the_source_are_kept(k2, home):
    """A second load sends them again; the worker tells the copies."""
    k2.write("k2.csv", K2_ROWS)
    for _ in range(2):
        assert 0 == k2("k2.csv", *K2).status
    assert [1, 2, 3, 1, 2, 3] == [row["sequence"] for row in on_log(home)]


def test_the_ledger_is_read_once_for_many_files(k2, home, monkeypatch):
    """A folder of small files does not read it again for each: what a process adds it knows."""
    reads = []
    true_read = reservations.read_loads
    monkeypatch.setattr(reservations, "read_loads", lambda table: reads.append(1) or true_read(table))
    names = [k2.write(f"{i}.csv", asx_trades(1, price=i + 1)) for i in range(4)]
    assert 0 == k2(*names, *ASX).status
    assert 1 == len(reads)
    assert [1, 2, 3, 4] == [row["sequence"] for row in on_log(home)]
