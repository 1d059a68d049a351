"""Rows of retracted loads: left out, counted, and never taking others with them."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from decimal import Decimal

import pytest

from k2app.lake.catalog import load
from k2app.lake.tables import Name
from k2app.query.answers.result_text import to_json
from k2app.query.requests import RowsRequest, SummaryRequest, SymbolsRequest
from tests.query_lake import MONDAY, company, trade


def offsets(result):
    return result.rows["offset"].to_pylist()


def now_us():
    return time.time_ns() // 1_000


def notices(result):
    return {notice.code: notice.count for notice in result.warnings}


def test_rows_of_a_retracted_load_are_left_out_and_counted(put, engine, record):
    """Other loads' rows and rows of no load stay; `include_retracted` brings them back."""
    put("trades", [trade(0, load_id="a"), trade(1, load_id="b"), trade(2), trade(3, load_id="a")])
    assert {"gaps", "trades"} == engine.trades(RowsRequest()).snapshots.keys()
    record("a", "sent")
    record("a")
    hidden = engine.trades(RowsRequest())
    assert [1, 2] == offsets(hidden)
    assert {"retracted_hidden": 2} == notices(hidden)
    assert {"gaps", "loads", "trades"} == hidden.snapshots.keys()
    shown = engine.trades(RowsRequest(include_retracted=True))
    assert [0, 1, 2, 3] == offsets(shown)
    assert {} == notices(shown)
    assert {"gaps", "trades"} == shown.snapshots.keys()


def test_a_retraction_of_quotes_hides_no_trades(put, engine, record):
    """A load id is of one table; the ledger says which."""
    put("trades", [trade(0, load_id="a")])
    record("a", data_type="quotes")
    assert [0] == offsets(engine.trades(RowsRequest()))


def test_what_was_asked_before_a_retraction_stays_what_it_was(put, engine, record):
    """Pinned by snapshot or by time, the same set gives the same bytes; `as_of` of an answer gives it again."""
    first = put("trades", [trade(0, load_id="a"), trade(1, load_id="b")])
    before = engine.trades(RowsRequest())
    retracted_us = record("a")
    after = engine.trades(RowsRequest())
    assert retracted_us == after.as_of_us
    assert to_json(before) == to_json(engine.trades(RowsRequest(snapshot_id=first)))
    assert to_json(before) == to_json(engine.trades(RowsRequest(as_of=before.as_of_us)))
    assert [0, 1] == offsets(engine.trades(RowsRequest(as_of=retracted_us - 1_000)))
    assert to_json(after) == to_json(engine.trades(RowsRequest(as_of=after.as_of_us)))
    put("trades", [trade(2, load_id="c")])
    record("b")
    assert to_json(after) == to_json(engine.trades(RowsRequest(as_of=after.as_of_us)))
    assert [2] == offsets(engine.trades(RowsRequest()))


def test_other_loads_change_no_answer(put, engine, record):
    """The set names the last retraction, not the last load: recording a load changes no byte."""
    put("trades", [trade(0, load_id="a"), trade(1, load_id="b")])
    record("a")
    before = to_json(engine.trades(RowsRequest()))
    record("z", "reserved")
    record("z", "sent")
    assert before == to_json(engine.trades(RowsRequest()))


def test_pages_keep_the_set_they_began_with(put, engine, record):
    """A retraction between two pages is not seen by the second."""
    put("trades", [trade(n, load_id="ab"[n % 2]) for n in range(6)])
    record("a")
    page = engine.trades(RowsRequest(limit=2))
    record("b")
    rest = engine.trades(RowsRequest(limit=2, cursor=page.next))
    assert [[1, 3], [5]] == [offsets(page), offsets(rest)]
    assert page.snapshots == rest.snapshots


def test_retractions_outlive_their_snapshots(put, engine, record, catalog, settings):
    """When the ledger's snapshots have expired, each retraction still counts from the time it was recorded."""
    put("trades", [trade(0, load_id="a"), trade(1, load_id="b"), trade(2, load_id="c")])
    first_us = now_us()
    record("a")
    second_us = now_us()
    record("b")
    record("z", "sent")
    table = load(catalog, settings, Name.LOADS)
    kept = table.current_snapshot().snapshot_id
    table.maintenance.expire_snapshots().by_ids([s.snapshot_id for s in table.snapshots()[:-1]]).commit()
    now = engine.trades(RowsRequest())
    assert [2] == offsets(now)
    assert kept == now.snapshots["loads"]
    assert [1, 2] == offsets(engine.trades(RowsRequest(as_of=second_us)))
    page = engine.trades(RowsRequest(as_of=second_us, limit=1))
    assert [2] == offsets(engine.trades(RowsRequest(as_of=second_us, limit=1, cursor=page.next)))
    assert [0, 1, 2] == offsets(engine.trades(RowsRequest(as_of=first_us)))


def test_summaries_and_symbols_leave_retracted_rows_out(put, engine, record):
    """Prices, volumes, counts and names are those of what stands; a symbol with nothing left is none."""
    put("reference_data", [company(0, "BHP", "Right"), company(1, "BHP", "Wrong", load_id="r")])
    put(
        "trades",
        [trade(0, load_id="a", price="9"), trade(1, price="5"), trade(2, symbol="GONE", load_id="a")],
    )
    record("a")
    record("r", data_type="reference_data")
    summary = engine.summary(SummaryRequest(symbol="BHP", date=MONDAY))
    assert [(Decimal(5), 1, 1)] == [
        (row["open"], row["trades"], row["retracted_hidden"]) for row in summary.rows.to_pylist()
    ]
    assert 1 == notices(summary)["retracted_hidden"]
    gone = engine.summary(SummaryRequest(symbol="GONE", date=MONDAY))
    assert (0, 1) == (gone.rows.num_rows, notices(gone)["retracted_hidden"])
    symbols = engine.symbols(SymbolsRequest())
    assert [("BHP", "Right", 1)] == [(r["symbol"], r["name"], r["trades"]) for r in symbols.rows.to_pylist()]
    assert {"retracted_hidden": 2} == notices(symbols)
    full = engine.symbols(SymbolsRequest(include_retracted=True))
    assert [("BHP", "Wrong", 2), ("GONE", None, 1)] == [
        (r["symbol"], r["name"], r["trades"]) for r in full.rows.to_pylist()
    ]


# --- duplicates of what is gone

LOADS = ["a", "b", "c", "d", None]
RETRACTED = {"a", "c"}
SYMBOLS = 150


def scenario(symbol, first, chance):
    """Up to eight rows of one symbol with few contents, flagged as ingest would have before the retractions."""
    rows, seen = [], set()
    for offset in range(first, first + chance.randint(1, 8)):
        content = (
            chance.randint(1, 2),
            chance.randint(0, 1),
            chance.choice(["1", "2"]),
            chance.choice([(), ("5",)]),
        )
        flag = "duplicate" if content in seen else chance.choice(["ok", "conflict", "late"])
        seen.add(content)
        sequence, micros, price, conditions = content
        rows.append(
            trade(
                offset, symbol=symbol, sequence=sequence, micros=micros, price=price, conditions=list(conditions),
                sequence_flag=flag, load_id=chance.choice(LOADS),
            )
        )  # fmt: skip
    return rows


def content_of(row):
    return row["symbol"], row["sequence"], row["timestamp"], row["price"], tuple(row["conditions"])


def expected(rows, *, include_duplicates):
    """Of what stands: every row that is no duplicate, and the first duplicate where there is nothing else."""
    groups = defaultdict(list)
    for row in rows:
        if row["load_id"] not in RETRACTED:
            groups[content_of(row)].append(row)
    shown = []
    for group in groups.values():
        originals = [row for row in group if row["sequence_flag"] != "duplicate"]
        shown += group if include_duplicates else originals or group[:1]
    return sorted(row["offset"] for row in shown)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_duplicate_stands_in_for_a_retracted_row(put, engine, record, seed):
    """Whatever was loaded how often: what stands is shown once, as a loop over the rows would find it."""
    chance = random.Random(seed)  # noqa: S311 - scenarios, not secrets
    rows = [row for n in range(SYMBOLS) for row in scenario(f"S{n:03}", 10 * n, chance)]
    put("trades", rows)
    for load_id in sorted(RETRACTED):
        record(load_id)
    for include in (False, True):
        walked, cursor, reported = [], None, None
        while reported is None or cursor is not None:
            page = engine.trades(RowsRequest(limit=100, cursor=cursor, include_duplicates=include))
            walked += offsets(page)
            cursor, reported = page.next, notices(page)
        stands = expected(rows, include_duplicates=include)
        assert stands == sorted(walked)
        gone = [
            r for r in rows if r["load_id"] in RETRACTED and (include or r["sequence_flag"] != "duplicate")
        ]
        standing = sum(row["load_id"] not in RETRACTED for row in rows)
        assert len(gone) == reported["retracted_hidden"]
        assert standing - len(stands) == reported.get("duplicates_hidden", 0)
    symbols = engine.symbols(SymbolsRequest()).rows.to_pylist()
    assert len(expected(rows, include_duplicates=False)) == sum(row["trades"] for row in symbols)
