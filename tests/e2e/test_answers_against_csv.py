"""Every answer against an independent computation on the CSV files that were loaded.

One market in files, loaded with `k2 load` and drained by a worker in two parts, of which some loads are then retracted.
Hypothesis draws the questions, a server that has been running since the first part answers them, and the modules
`csv_...` say what is right: `csv` and Decimal, nothing of K2's. Questions are asked of what is there now, of what was
there before the second part came, and of what there would be without the retractions.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from k2app.client import Client
from k2app.lake.catalog import open_catalog
from tests.e2e import csv_bars, csv_coverage, csv_rows, drawn_questions
from tests.e2e.answer_forms import FORMS, Asking, in_csv, plain
from tests.e2e.asked_lake import RECORDED, TAG, WITHDRAWN, Lake, read
from tests.e2e.drawn_questions import LIMITS, PINS, RETRACTED, STATES
from tests.e2e.grown_lake import MarketHome, is_first_part, write_market
from tests.pipeline.operate.commands import k2
from tests.web.live import live

MANY = settings(max_examples=12, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""Questions per test. A failing one is not made smaller: that asks thousands more."""

STREAMED = st.sampled_from(FORMS[1:])

MOST_PAGES = 6
"""A page is made larger where there would be more."""

OF_FILES = {"file", "is_copy", "is_retracted"}
"""What only the files' side says of a row."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """The market in two parts, answers recorded between them, and a server that saw both come."""
    folder = tmp_path_factory.mktemp("market")
    home, files = MarketHome(folder / "home"), folder / "files"
    names = write_market(files)
    first = [name for name in names if is_first_part(name)]
    second = [name for name in names if not is_first_part(name)]
    home.load(first, files)
    catalog = open_catalog(home.settings)
    with live((home.settings, catalog), web={"rate": ""}) as server, Client(server.base) as client:
        k2(home, "tag", "create", TAG)
        found = Lake(home, Asking(server), client, read(files, first))
        found.record()
        home.load(second, files)
        found.grown, found.files = read(files, [*first, *second]), home.files_by_load()
        for load_id, name in found.files.items():
            if name in WITHDRAWN:
                k2(home, "retract", load_id)
        found.now = found.grown.without(WITHDRAWN)
        yield found
    catalog.close()


def without_file(rows):
    """Rows as queries have them, which name a load and no file."""
    return [{name: value for name, value in row.items() if name not in OF_FILES} for row in rows]


def page_rows(limit, rows):
    """A limit with which there are not too many pages."""
    return max(limit, len(rows) // MOST_PAGES + 1)


def assert_told(lake, path, expected, asked, limit, forms):
    """Pages of JSON one after the other, and these streamed forms, are what is expected."""
    told = plain(expected)
    assert told == plain(lake.asking.pages(path, page_rows(limit, told), **asked))
    for form in forms:
        assert (in_csv(expected) if form == "csv" else told) == lake.asking.rows(path, form, **asked), form


def counts(page):
    """Warnings of a page by code."""
    return {warning["code"]: warning["count"] for warning in page["warnings"]}


def test_every_well_formed_row_is_there_once_with_its_verdict(lake):
    """File, line, offset, flag, epoch, trading date and content of every row; malformed ones are among the rejects."""
    for table in ("trades", "quotes"):
        found = lake.asking.pages(f"/v1/{table}", 5_000, include_duplicates=True, include_retracted=True)
        loaded = [{**row, "file": lake.files[row["load_id"]]} for row in found]
        expected = csv_rows.rows(lake.grown, table, {"include_duplicates": True})
        assert plain(without_file(expected)) == plain(without_file(loaded))
        assert [row["file"] for row in expected] == [row["file"] for row in loaded]
    flags = Counter(row["sequence_flag"] for rows in lake.grown.rows.values() for row in rows)
    assert {
        "first",
        "ok",
        "gap",
        "late",
        "duplicate",
        "conflict",
        "reset",
        "regressed",
        "unsequenced",
    } <= set(flags)
    rejected = [
        line for path in (lake.home.path / "rejects").glob("*") for line in path.read_text().splitlines()
    ]
    assert lake.now.rejected == len(rejected)


def test_every_form_of_everything_says_what_the_files_say(lake):
    """NDJSON, CSV, Arrow and Parquet of whole tables, bars, and trades with their quotes."""
    bars = {"interval": "1h", "align": "session", "fill": "none"}
    everything = {
        **{f"/v1/{table}": (without_file(csv_rows.rows(lake.now, table, {})), {}) for table in lake.now.rows},
        "/v1/bars": (csv_bars.bars(lake.now, bars), bars),
        "/v1/taq": (csv_rows.taq(lake.now, {}), {}),
    }
    for path, (expected, asked) in everything.items():
        assert_told(lake, path, expected, asked, 1_000, FORMS[1:])


@MANY
@given(
    table=st.sampled_from(["trades", "quotes"]),
    asked=drawn_questions.ROWS,
    pin=STATES,
    limit=LIMITS,
    form=STREAMED,
)
def test_rows_of_any_range_are_those_of_the_files(lake, table, asked, pin, limit, form):
    """Symbols, ranges, bounds, conditions, order, columns; in every form, and as pages of any size."""
    path = f"/v1/{table}"
    expected = without_file(csv_rows.rows(lake.market(pin), table, asked))
    if asked.get("columns"):
        expected = [{name: row[name] for name in asked["columns"]} for row in expected]
    pinned = asked | lake.pin(pin, path)
    assert_told(lake, path, expected, pinned, limit, [form])
    said = counts(lake.asking.page(path, limit=1, **pinned))
    hidden = csv_rows.hidden(lake.market(pin), table, asked)
    assert hidden == {code: count for code, count in said.items() if code.endswith("_hidden")}


@MANY
@given(asked=drawn_questions.BARS, pin=STATES, limit=LIMITS, form=STREAMED)
def test_bars_of_any_interval_are_those_of_the_files(lake, asked, pin, limit, form):
    """UTC and session, all fills, prints off the market; open and close by the total order, sums to the last digit."""
    expected = csv_bars.bars(lake.market(pin), asked)
    assert_told(lake, "/v1/bars", expected, asked | lake.pin(pin, "/v1/bars"), limit, [form])


@MANY
@given(
    start=drawn_questions.DATES,
    days=st.integers(1, 9),
    scope=drawn_questions.SCOPES,
    pin=STATES,
    form=STREAMED,
)
def test_summaries_of_any_dates_are_those_of_the_files(lake, start, days, scope, pin, form):
    """Of all symbols, and of one symbol's date alone."""
    end = start + dt.timedelta(days=days)
    exchange = {"exchange": scope["exchange"]}
    pinned = lake.pin(pin, "/v1/summary")
    expected = csv_bars.summaries(lake.market(pin), start, end, exchange)
    for one in ("json", form):
        found = lake.asking.rows("/v1/summary", one, start_date=start, end_date=end, **exchange, **pinned)
        assert (in_csv(expected) if one == "csv" else plain(expected)) == found, one
    for symbol in scope["symbol"]:
        asked = {"symbol": [symbol], **exchange}
        alone = csv_bars.summaries(lake.market(pin), start, start + dt.timedelta(days=1), asked)
        assert plain(alone) == plain(lake.client.summary(symbol, start, **exchange, **pinned))


@MANY
@given(asked=drawn_questions.TAQ, pin=STATES, limit=LIMITS, form=STREAMED)
def test_trades_with_their_quotes_are_those_of_the_files(lake, asked, pin, limit, form):
    """The prevailing quote at or before, of any age; mid, spread and effective spread exact."""
    age = asked["max_age"]
    question = asked | {"max_age": None if age is None else drawn_questions.AGES[age]}
    expected = csv_rows.taq(lake.market(pin), question)
    assert_told(lake, "/v1/taq", expected, asked | lake.pin(pin, "/v1/taq"), limit, [form])


@MANY
@given(asked=drawn_questions.COMPLETENESS, pin=STATES, limit=LIMITS)
def test_completeness_of_any_dates_is_that_of_the_files(lake, asked, pin, limit):
    """Numbers expected, seen and missing; gaps and their ends; copies, contradictions; dates without rows."""
    expected = csv_coverage.completeness(lake.market(pin), asked)
    pinned = asked | lake.pin(pin, "/v1/completeness", asked["data_type"])
    found = lake.asking.pages("/v1/completeness", page_rows(limit, expected), **pinned)
    assert plain(expected) == plain({k: v for k, v in row.items() if k != "rule"} for row in found)
    assert all(row["rule"].startswith("contiguous") for row in found if row["expected"] is not None)


@MANY
@given(
    scope=drawn_questions.SCOPES, table=st.sampled_from([None, "trades", "quotes"]), pin=STATES, limit=LIMITS
)
def test_ranges_and_gaps_are_those_of_the_files(lake, scope, table, pin, limit):
    """First and last times and counts; what is still missing, with the time of the row that showed it."""
    market = lake.market(pin)
    asked: dict[str, Any] = {"symbol": scope["symbol"], "exchange": scope["exchange"], "data_type": table}
    found = lake.asking.page("/v1/range", **asked, **lake.pin(pin, "/v1/range", table))["rows"]
    assert plain(csv_coverage.ranges(market, asked)) == plain(found)
    symbol = scope["symbol"][0] if scope["symbol"] else None
    pinned = {} if pin == RETRACTED else lake.pin(pin, "/v1/gaps", table)
    asked = {**scope, "symbol": symbol, "data_type": table, "open_only": True, **pinned}
    expected = csv_coverage.gaps(market, asked | {"symbol": symbol and [symbol]})
    found = lake.asking.pages("/v1/gaps", page_rows(limit, expected), **asked)
    assert plain(expected) == plain({k: v for k, v in row.items() if k != "asset_class"} for row in found)


@MANY
@given(
    scope=drawn_questions.SCOPES,
    data_type=st.sampled_from(["trades", "quotes", "both"]),
    duplicates=st.sampled_from([None, True]),
    pin=STATES,
    place=st.integers(0, 10_000),
    form=st.sampled_from(["arrow", "parquet"]),
)
def test_replay_of_any_range_is_the_files_in_order(lake, scope, data_type, duplicates, pin, place, form):
    """Quotes before trades at one microsecond, gaps before what showed them; after any row the rest follows."""
    asked = {**scope, "data_type": data_type, "include_duplicates": duplicates}
    expected = without_file(csv_rows.replay(lake.market(pin), asked))
    asked |= lake.pin(pin, "/v1/replay", data_type)
    assert plain(expected) == lake.asking.rows("/v1/replay", "ndjson", **asked)
    names = {name for row in expected for name in row}
    wide = plain({name: row.get(name) for name in names} for row in expected)
    found = lake.asking.rows("/v1/replay", form, **asked)
    assert wide == [{name: row[name] for name in names} for row in found]
    events = lake.asking.events("/v1/replay", **asked)
    assert plain(expected) == plain(row for _, row in events)
    if events:
        token = events[place % len(events)][0]
        rest = lake.asking.rows("/v1/replay", "ndjson", **asked, cursor=token)
        assert plain(expected[place % len(events) + 1 :]) == rest


@pytest.mark.parametrize("pin", PINS)
def test_answers_at_a_snapshot_are_the_same_bytes_when_the_lake_has_grown(lake, pin):
    """Every kind of question in every form: asked before the second part came, and after the retractions."""
    for number, (path, asked) in enumerate(RECORDED):
        again = lake.asking.raw(path, **asked, **lake.pin(pin, path, asked.get("data_type")))
        assert lake.recorded[number, pin] == again, (path, asked)


def test_pages_begun_before_the_lake_grew_go_on_as_if_it_had_not(lake):
    """A cursor pins what the first page was read from."""
    for path, first in lake.first_pages.items():
        rows, cursor = first["rows"], first["next"]
        while cursor is not None:
            page = lake.asking.page(path, limit=500, cursor=cursor)
            rows, cursor = rows + page["rows"], page["next"]
        assert lake.asking.pages(path, 100_000, **lake.pin("snapshots", path)) == rows, path
