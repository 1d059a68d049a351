"""Dead letters as a query shows them: bytes, reasons, places, and what became of them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from k2app.errors import RequestError
from k2app.lake.catalog import load
from k2app.lake.ledger import append_if
from k2app.lake.redriven import Coordinates, named
from k2app.lake.tables import SPECS, Name
from k2app.query.coverage.dead_letters import DeadLettersRequest
from k2app.query.lake_queries import DEAD_LETTERS_QUERY
from k2app.query.requests import make
from tests.query_lake import LOG, at

TRADES = "market.equities.trades.asx"
QUOTES = "market.equities.quotes.asx"


def letter(offset, *, micros=None, topic=TRADES, partition=0, **other):
    return {
        "reason": "ends early", "schema_id": 3, "log_timestamp": at(offset if micros is None else micros),
        "key": b"BHP", "value": bytes([0, 255, offset]), "committed_at": at(1_000), "commit_id": "c", "log_id": LOG,
        "topic": topic, "partition": partition, "offset": offset,
    } | other  # fmt: skip


@pytest.fixture
def redrive(catalog, settings):
    """Record a state of a redrive."""

    def write(load_id, state, places, **other):
        row = {
            "load_id": load_id, "state": state, "recorded_at": datetime.now(UTC), "file": named(places),
            "file_sha256": "00" * 32, "file_bytes": 1, "exchange": "asx", "data_type": "trades", "profile": "redrive",
            "sequence_mode": "source", "symbol": None, "rows": 1, "rejects": 0, "rejects_file": None, "numbers": [],
            "sent": [], "log_id": LOG, "reason": None,
        } | other  # fmt: skip
        table = load(catalog, settings, Name.LOADS)
        current = table.current_snapshot()
        rows = pa.Table.from_pylist([row], schema=SPECS[Name.LOADS].arrow_schema)
        append_if(table, rows, None if current is None else current.snapshot_id)

    return write


def ask(engine, **values):
    return engine.answer(DEAD_LETTERS_QUERY, make(DeadLettersRequest, **values))


def offsets(result):
    return result.rows["offset"].to_pylist()


def test_a_letter_is_shown_with_its_bytes_and_its_place(put, engine):
    """Base64 gives the bytes back; null stays null."""
    put("dead_letters", [letter(3), letter(4, key=None, value=None, schema_id=None, reason="null value")])
    rows = ask(engine).rows.to_pylist()
    assert [bytes([0, 255, 3]), b"BHP"] == [base64.b64decode(rows[0][name]) for name in ("payload", "key")]
    assert (None, None, None) == tuple(rows[1][name] for name in ("payload", "key", "schema_id"))
    assert (TRADES, 0, 3, LOG, at(3), "ends early") == tuple(
        rows[0][name] for name in ("topic", "partition", "offset", "log_id", "log_timestamp", "reason")
    )


def test_filters_and_pages_leave_nothing_out(put, engine):
    """By topic, partition and [start, end) on the log; equal times are told apart by place; pages are whole."""
    letters = [letter(n, micros=n // 3, topic=(TRADES, QUOTES)[n % 2], partition=n % 3) for n in range(20)]
    put("dead_letters", letters[::2])
    put("dead_letters", letters[1::2])
    order = ("log_timestamp", "log_id", "topic", "partition", "offset")
    model = sorted(letters, key=lambda row: tuple(row[name] for name in order))
    walked, cursor = [], None
    while cursor is not None or not walked:
        page = ask(engine, limit=3, cursor=cursor)
        walked, cursor = walked + offsets(page), page.next
    assert [row["offset"] for row in model] == walked
    start = int(at(0).timestamp()) * 1_000_000
    for values, wanted in (
        ({"topic": QUOTES}, lambda row: row["topic"] == QUOTES),
        ({"partition": 2}, lambda row: row["partition"] == 2),
        ({"start": start + 1, "end": start + 4}, lambda row: at(1) <= row["log_timestamp"] < at(4)),
    ):
        assert [row["offset"] for row in model if wanted(row)] == offsets(ask(engine, **values))
    with pytest.raises(RequestError, match=r"^cursor: "):
        ask(engine, limit=3, topic=TRADES, cursor=ask(engine, limit=3).next)


def test_what_became_of_letters_is_told_as_of_the_moment_asked(put, engine, redrive):
    """Begun, sent, failed and taken back; a page keeps to its moment."""
    put("dead_letters", [letter(n) for n in range(6)])
    places = [Coordinates(LOG, TRADES, 0, n) for n in range(6)]
    redrive("a", "reserved", places[:2])
    before = ask(engine, limit=2)
    redrive("a", "sent", places[:2])
    redrive("b", "reserved", places[1:4])
    redrive("c", "reserved", places[4:5])
    redrive("c", "failed", places[4:5])
    redrive("d", "sent", places[5:])
    redrive("d", "retracted", places[5:])
    now = ask(engine).rows.to_pylist()
    assert [
        ("redriven", "a"),
        ("redriven", "a"),
        ("begun", "b"),
        ("begun", "b"),
        ("open", None),
        ("open", None),
    ] == [(row["state"], row["load_id"]) for row in now]
    assert ["begun", "begun"] == before.rows["state"].to_pylist()
    then = ask(engine, limit=2, cursor=before.next)
    assert (["open", "open"], before.snapshots) == (then.rows["state"].to_pylist(), then.snapshots)
    assert [2, 3] == offsets(ask(engine, state="begun"))
    assert [0, 1] == offsets(ask(engine, state="redriven"))
    assert [4, 5] == offsets(ask(engine, state="open"))
    assert before.rows.equals(ask(engine, as_of=before.as_of_us, limit=2).rows)
