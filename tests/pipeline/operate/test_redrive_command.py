"""Sending dead letters again: only what can be read by now, once, and told by its load."""

from __future__ import annotations

import io

import fastavro
import pytest
from commands import k2, k2_json

import schemas
from k2app.avro.encode import encode
from k2app.errors import TransientError
from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.load import ledger
from k2app.load.reservations import Reservations
from k2app.market.topics import DataType
from k2app.operate.redrive import Redriver
from k2app.stream.publisher import EmbeddedPublisher
from k2app.stream.registry import open_registry
from tests.pipeline.homes import TRADES, trades
from tests.query_lake import append, at

SUBJECT = "market.equities.trades-value"

SCHEMA = schemas.newest(DataType.TRADES.record)


def value(home, number, schema_id=None):
    """A trade of BHP as it is on the log."""
    outlet = home.outlet(DataType.TRADES)
    encoded = encode(trades([("BHP", number)]), outlet.schema, schema_id or outlet.schema_id)
    return encoded.data.tobytes()


def bury(home, letters, **more):
    """Put dead letters of partition 0 into the lake, by offset."""
    rows = [
        {
            "reason": "unknown schema id", "schema_id": None, "log_timestamp": at(offset), "key": b"BHP",
            "value": data, "committed_at": at(1_000), "commit_id": "c", "log_id": home.log.log_id, "topic": TRADES,
            "partition": 0, "offset": offset, **more,
        }
        for offset, data in letters.items()
    ]  # fmt: skip
    append(open_catalog(home.settings), home.settings, Name.DEAD_LETTERS, rows)


def on_the_log(home):
    """Key, number and load of every trade on the log, in order of numbers."""
    found, schema = [], fastavro.parse_schema(SCHEMA)
    for partition in home.ends():
        batch = home.log.read(TRADES, partition, 0, max_rows=1_000, max_bytes=10**6)
        for row in range(0 if batch is None else len(batch)):
            record = fastavro.schemaless_reader(io.BytesIO(batch.value(row)[5:]), schema)
            found.append((batch.key(row), record["sequence"], record["load_id"]))
    return sorted(found, key=lambda one: one[1])


def states(home):
    rows = k2_json(home, "dead-letters", program="k2-query")["rows"]
    return {row["offset"]: row["state"] for row in rows}


def entries(home):
    return ledger.entries(Reservations(open_catalog(home.settings), home.settings).rows())


def offsets(letters):
    return [int(str(one if isinstance(one, str) else one["letter"]).rpartition("/")[2]) for one in letters]


def test_letters_whose_schema_is_there_by_now_are_sent_once(home):
    """Before, they are refused; then they go under their own keys, once; `--again` sends them once more."""
    _ = home.log
    coming = max(home.made.subjects.values()) + 1
    while home.log.schema_text(coming) is not None:
        coming += 1
    bury(home, {3: value(home, 7, coming), 4: value(home, 8, coming), 6: b"\0\1", 7: None})
    bury(home, {5: value(home, 9, coming)}, key=b"other")
    by_all = ("redrive", "--topic", TRADES)
    said = k2(home, *by_all, "--dry-run", status=1)
    registry = open_registry(home.settings, home.log)
    assert coming == registry.register(SUBJECT, {**SCHEMA, "doc": "The same, told otherwise."})
    foretold = k2_json(home, *by_all, "--dry-run")
    assert [[3, 4, 5], [6, 7]] == [offsets(foretold["sent"][0]["letters"]), offsets(foretold["refused"])]
    assert [] == on_the_log(home), said
    done = k2_json(home, *by_all, "--reason", "schema")
    load_id = done["sent"][0]["load_id"]
    assert [(b"BHP", 7, load_id), (b"BHP", 8, load_id), (b"other", 9, load_id)] == on_the_log(home)
    assert ["null value (tombstone)"] == [one["reason"] for one in done["refused"] if "/7" in one["letter"]]
    assert {3: "redriven", 4: "redriven", 5: "redriven", 6: "open", 7: "open"} == states(home)
    (entry,) = entries(home)
    assert (load_id, "sent", "redrive", 3) == (entry.load_id, entry.state, entry.profile, entry.rows)
    assert f"dead letters {home.log.log_id} {TRADES} 0:3-5" == entry.file
    assert 3 == sum(one.end - one.start for one in entry.sent)
    second = k2_json(home, "redrive", f"{TRADES}/0/3")
    assert ([], [3]) == (second["sent"], offsets(second["sent_before"]))
    k2(home, "redrive", f"{TRADES}/0/3", "--again")
    assert [7, 7, 8, 9] == [number for _, number, _ in on_the_log(home)]
    k2(home, "retract", load_id)
    assert {3: "redriven", 4: "open", 5: "open", 6: "open", 7: "open"} == states(home)


def test_a_corrected_value_takes_the_place_of_the_one_letter(home):
    """One letter, one file: what is in the file must be readable too."""
    bury(home, {3: b"\0\1", 4: b"\0\2"})
    mended = home.path / "mended.avro"
    mended.write_bytes(value(home, 7))
    several = ("redrive", "--topic", TRADES, "--file", "mended.avro")
    assert "is of one dead letter, and 2 were chosen" in k2(home, *several, status=2)
    broken = home.path / "broken.avro"
    broken.write_bytes(b"\0\3")
    k2(home, "redrive", f"{TRADES}/0/3", "--file", "broken.avro", status=1)
    assert "1 dead letter sent to" in k2(home, "redrive", f"{TRADES}/0/3", "--file", "mended.avro")
    assert [(b"BHP", 7)] == [one[:2] for one in on_the_log(home)]
    assert {3: "redriven", 4: "open"} == states(home)


def test_a_redrive_that_died_is_not_repeated_unasked(home, monkeypatch):
    """Died after the reservation: whether the letters are on the log is not known, so a person must say `--again`."""
    bury(home, {3: value(home, 7)})

    class Died(BaseException):
        """The process ends here."""

    def die(*_):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedPublisher, "publish", die)
        with pytest.raises(Died):
            k2(home, "redrive", "--topic", TRADES)
    (entry,) = entries(home)
    assert {3: "begun"} == states(home)
    left = k2_json(home, "redrive", "--topic", TRADES)
    assert ([], entry.load_id) == (left["sent"], left["sent_before"][0]["load_id"])
    assert 1 == len(k2_json(home, "redrive", "--topic", TRADES, "--again")["sent"])
    assert {3: "redriven"} == states(home)


def test_a_log_that_takes_nothing_leaves_the_letters_open(home, monkeypatch):
    """The ledger says that it failed, and the next redrive sends them."""
    bury(home, {3: value(home, 7)})
    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedPublisher, "publish", busy)
        assert "the log is busy" in k2(home, "redrive", "--topic", TRADES, status=1)
    assert {3: "open"} == states(home)
    k2(home, "redrive", "--topic", TRADES)
    assert ["failed", "sent"] == [one.state for one in entries(home)]


def busy(*_):
    raise TransientError("the log is busy")


def test_two_redrives_at_once_send_a_letter_once(home, monkeypatch):
    """Both have seen it open; the ledger lets one of them through."""
    bury(home, {3: value(home, 7)})
    real = Redriver._send

    def late(self, topic, letters, rows, asked):
        with monkeypatch.context() as patched:
            patched.setattr(Redriver, "_send", real)
            k2(home, "redrive", "--topic", TRADES)
        return real(self, topic, letters, rows, asked)

    monkeypatch.setattr(Redriver, "_send", late)
    assert "is being sent by load" in k2(home, "redrive", "--topic", TRADES, status=2)
    assert [7] == [number for _, number, _ in on_the_log(home)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which dead letters"),
        (("market.equities.trades.asx/0",), "is not a dead letter: write TOPIC/PARTITION/OFFSET"),
        ((f"{TRADES}/0/9",), f"there is no such dead letter at {TRADES}/0/9"),
        (("--topic", "market.equities.trades.other"), "there are no such dead letters"),
        (("--since", "yesterday"), "--since: 'yesterday' is not a time"),
    ],
)
def test_what_cannot_be_chosen_is_refused(home, arguments, said):
    """Says what is wrong; nothing is sent."""
    bury(home, {3: value(home, 7)})
    assert said in k2(home, "redrive", *arguments, status=2)
    assert [] == on_the_log(home)


def test_what_a_worker_could_not_read_is_in_the_lake_after_a_redrive(home):
    """From the log to the dead letters, mended, and to the rows, which are told by the load and can be withdrawn."""
    home.publish_raw([(b"BHP", value(home, 7)), (b"BHP", b"\0\1"), (b"BHP", value(home, 9))])
    home.drain()
    (home.path / "mended.avro").write_bytes(value(home, 8))
    k2(home, "redrive", f"{TRADES}/0/1", "--file", "mended.avro")
    home.drain()
    assert [(7, None), (8, True), (9, None)] == [
        (row["sequence"], row["load_id"] and row["load_id"] == entries(home)[0].load_id)
        for row in sorted(home.rows(Name.TRADES), key=lambda row: row["sequence"])
    ]
    k2(home, "retract", entries(home)[0].load_id)
    answer = k2_json(home, "trades", program="k2-query")
    assert [7, 9] == [row["sequence"] for row in answer["rows"]]
