"""Every answer against an independent computation on the CSV files that were loaded.

One market in files, loaded with `k2 load` and drained by a worker in two parts; hypothesis draws the questions, a server
that has been running since the first part answers them, and `csv_answers` says what is right: `csv` and Decimal, nothing
of K2's. Questions are asked of what is there now, and of what was there before the second part came.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from k2app.client import Client
from k2app.lake.catalog import open_catalog
from tests.e2e import csv_answers, drawn_questions
from tests.e2e.answer_forms import FORMS, Asking, in_csv, plain
from tests.e2e.csv_market import Market
from tests.e2e.drawn_questions import LIMITS, PINNED, PINS
from tests.e2e.grown_lake import MarketHome, is_first_part, write_market
from tests.pipeline.operate.commands import k2
from tests.web.live import live

MANY = settings(max_examples=8, phases=[Phase.generate])

TAG = "before"

MOST_PAGES = 25
"""A page is made larger where there would be more."""

RECORDED = (
    ("/v1/trades", {"limit": 5000}),
    ("/v1/trades", {"order": "desc", "limit": 7, "columns": ["timestamp", "price"], "format": "csv"}),
    ("/v1/trades", {"format": "parquet"}),
    ("/v1/quotes", {"format": "ndjson"}),
    ("/v1/quotes", {"symbol": "HLX", "include_duplicates": True, "format": "arrow"}),
    ("/v1/bars", {"interval": "1h", "align": "session", "fill": "previous"}),
    ("/v1/summary", {"start_date": "2026-04-01", "end_date": "2026-04-10"}),
    ("/v1/summary/CRW/2026-04-02", {}),
    ("/v1/taq", {"symbol": ["CRW", "BTCUSDT"], "limit": 500}),
    ("/v1/symbols", {}),
    ("/v1/range", {}),
    ("/v1/completeness", {"data_type": "quotes"}),
    ("/v1/completeness", {}),
    ("/v1/gaps", {"limit": 3}),
    ("/v1/gaps", {"events": True}),
    ("/v1/stats", {}),
    ("/v1/replay", {"symbol": ["FNX", "ETHUSDT"]}),
)
"""Questions asked before the lake grew, and after."""

OF_TYPES = {
    "/v1/completeness": (None, "trades", "quotes"),
    "/v1/range": (None, "trades", "quotes"),
    "/v1/replay": (None, "both", "trades", "quotes"),
    "/v1/gaps": (None, "trades", "quotes"),
}
"""Questions of which the tables are asked for."""


@dataclass(repr=False)
class Lake:
    """A lake that has grown, and what its files say of it before and after."""

    home: MarketHome
    asking: Asking
    client: Client
    before: Market
    now: Market = field(default_factory=Market)
    files: dict[str, str] = field(default_factory=dict)
    pins: dict[tuple[str, str | None], dict[str, str]] = field(default_factory=dict)
    recorded: dict[tuple[int, str], bytes] = field(default_factory=dict)
    first_pages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def market(self, pin: str | None) -> Market:
        """What there was."""
        return self.now if pin is None else self.before

    def pin(self, name: str | None, path: str, data_type: str | None = None) -> dict[str, str]:
        """The parameter that asks for what was there before."""
        return {} if name is None else {name: self.pins[path, data_type][name]}

    def record(self) -> None:
        """Ask what is to be asked again when the lake has grown."""
        for path in {path for path, _ in RECORDED}:
            for data_type in OF_TYPES.get(path, (None,)):
                self.pins[path, data_type] = self._pins(path, data_type)
        for number, (path, asked) in enumerate(RECORDED):
            for name in PINS:
                self.recorded[number, name] = self.asking.raw(path, **asked, **self.pin(name, path, asked.get("data_type")))
        for path in ("/v1/trades", "/v1/quotes", "/v1/bars", "/v1/taq", "/v1/completeness", "/v1/gaps"):
            self.first_pages[path] = self.asking.page(path, limit=40)

    def _pins(self, path: str, data_type: str | None) -> dict[str, str]:
        asked = {"start_date": "2026-04-01"} if path == "/v1/summary" else {}
        raw = self.asking.raw(path, **asked, data_type=data_type)
        said = json.loads(raw.splitlines()[0] if path == "/v1/replay" else raw)
        mains = [name for name in ("trades", "quotes") if name in said["snapshots"]] or list(said["snapshots"])
        newest = max(mains, key=self._committed)
        return {
            "snapshot_id": str(said["snapshots"][newest]),
            "as_of": said["as_of"],
            "snapshots": ",".join(f"{k}:{'none' if v is None else v}" for k, v in said["snapshots"].items()),
            "tag": TAG,
        }

    def _committed(self, table: str) -> str:
        (newest,) = self.asking.page("/v1/snapshots", table=table, limit=1)["rows"]
        return newest["committed_at"]


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
        found.now, found.files = read(files, [*first, *second]), home.files_by_load()
        yield found
    catalog.close()


def read(folder: Path, names: list[str]) -> Market:
    """What the files say, in the order in which they were loaded."""
    market = Market()
    for name in names:
        if not name.startswith("reference-"):
            market.add(folder / name)
    return market


def without_file(rows):
    """Rows as queries have them, which name a load and no file."""
    return [{name: value for name, value in row.items() if name != "file"} for row in rows]


def page_rows(limit, rows):
    """A limit with which there are not too many pages."""
    return max(limit, len(rows) // MOST_PAGES + 1)


def assert_in_every_form(lake, path, expected, asked, limit):
    """Pages of JSON one after the other, and every streamed form, are what is expected."""
    told = plain(expected)
    assert told == plain(lake.asking.pages(path, page_rows(limit, told), **asked))
    for form in FORMS:
        if form == "json":
            continue
        assert (in_csv(expected) if form == "csv" else told) == lake.asking.rows(path, form, **asked), form


def counts(page):
    """Warnings of a page by code."""
    return {warning["code"]: warning["count"] for warning in page["warnings"]}


def test_every_well_formed_row_is_there_once_with_its_verdict(lake):
    """File, line, offset, flag, epoch, trading date and content of every row; malformed ones are among the rejects."""
    for table in ("trades", "quotes"):
        found = lake.asking.pages(f"/v1/{table}", 5_000, include_duplicates=True)
        loaded = [{**row, "file": lake.files[row["load_id"]]} for row in found]
        expected = csv_answers.rows(lake.now, table, {"include_duplicates": True})
        assert plain(expected) == plain(loaded)
    flags = Counter(row["sequence_flag"] for rows in lake.now.rows.values() for row in rows)
    assert {"first", "ok", "gap", "late", "duplicate", "conflict", "reset", "regressed", "unsequenced"} <= set(flags)
    rejected = [line for path in (lake.home.path / "rejects").glob("*") for line in path.read_text().splitlines()]
    assert lake.now.rejected == len(rejected)


@MANY
@given(table=st.sampled_from(["trades", "quotes"]), asked=drawn_questions.ROWS, pin=PINNED, limit=LIMITS)
def test_rows_of_any_range_are_those_of_the_files(lake, table, asked, pin, limit):
    """Symbols, ranges, bounds, conditions, order, columns; in every form, and as pages of any size."""
    path = f"/v1/{table}"
    expected = without_file(csv_answers.rows(lake.market(pin), table, asked))
    if asked.get("columns"):
        expected = [{name: row[name] for name in asked["columns"]} for row in expected]
    pinned = asked | lake.pin(pin, path)
    assert_in_every_form(lake, path, expected, pinned, limit)
    hidden = 0 if asked.get("include_duplicates") else csv_answers.hidden(lake.market(pin), table, asked)
    assert hidden == counts(lake.asking.page(path, limit=1, **pinned)).get("duplicates_hidden", 0)


@MANY
@given(asked=drawn_questions.BARS, pin=PINNED, limit=LIMITS)
def test_bars_of_any_interval_are_those_of_the_files(lake, asked, pin, limit):
    """UTC and session, all fills, prints off the market; open and close by the total order, sums to the last digit."""
    expected = csv_answers.bars(lake.market(pin), asked)
    assert_in_every_form(lake, "/v1/bars", expected, asked | lake.pin(pin, "/v1/bars"), limit)


@MANY
@given(start=drawn_questions.DATES, days=st.integers(1, 9), scope=drawn_questions.SCOPES, pin=PINNED)
def test_summaries_of_any_dates_are_those_of_the_files(lake, start, days, scope, pin):
    """Of all symbols, and of one symbol's date alone."""
    end = start + dt.timedelta(days=days)
    exchange = {"exchange": scope["exchange"]}
    pinned = lake.pin(pin, "/v1/summary")
    expected = csv_answers.summaries(lake.market(pin), start, end, exchange)
    for form in FORMS:
        found = lake.asking.rows("/v1/summary", form, start_date=start, end_date=end, **exchange, **pinned)
        assert (in_csv(expected) if form == "csv" else plain(expected)) == found, form
    for symbol in scope["symbol"]:
        asked = {"symbol": [symbol], **exchange}
        one = csv_answers.summaries(lake.market(pin), start, start + dt.timedelta(days=1), asked)
        answer = lake.client.summary(symbol, start, **exchange, **pinned)
        assert plain(one) == plain(answer)


@MANY
@given(asked=drawn_questions.TAQ, pin=PINNED, limit=LIMITS)
def test_trades_with_their_quotes_are_those_of_the_files(lake, asked, pin, limit):
    """The prevailing quote at or before, of any age; mid, spread and effective spread exact."""
    age = asked["max_age"]
    question = asked | {"max_age": None if age is None else drawn_questions.AGES[age]}
    expected = csv_answers.taq(lake.market(pin), question)
    assert_in_every_form(lake, "/v1/taq", expected, asked | lake.pin(pin, "/v1/taq"), limit)


@MANY
@given(asked=drawn_questions.COMPLETENESS, pin=PINNED, limit=LIMITS)
def test_completeness_of_any_dates_is_that_of_the_files(lake, asked, pin, limit):
    """Numbers expected, seen and missing, gaps and what became of them, copies and contradictions, dates without rows."""
    rules = {("asx", "trades"): "contiguous", ("asx", "quotes"): "contiguous"}
    expected = csv_answers.completeness(lake.market(pin), asked)
    pinned = asked | lake.pin(pin, "/v1/completeness", asked["data_type"])
    found = lake.asking.pages("/v1/completeness", page_rows(limit, expected), **pinned)
    assert plain(expected) == plain({k: v for k, v in row.items() if k != "rule"} for row in found)
    assert all((row["expected"] is not None) <= row["rule"].startswith("contiguous") for row in found), rules


@MANY
@given(scope=drawn_questions.SCOPES, table=st.sampled_from([None, "trades", "quotes"]), pin=PINNED, limit=LIMITS)
def test_ranges_and_gaps_are_those_of_the_files(lake, scope, table, pin, limit):
    """First and last times and counts; what is still missing, with the time of the row that showed it."""
    market = lake.market(pin)
    asked = {"symbol": scope["symbol"], "exchange": scope["exchange"], "data_type": table}
    found = lake.asking.page("/v1/range", **asked, **lake.pin(pin, "/v1/range", table))["rows"]
    assert plain(csv_answers.ranges(market, asked)) == plain(found)
    symbol = scope["symbol"][0] if scope["symbol"] else None
    asked = {**scope, "symbol": symbol, "data_type": table, "open_only": True, **lake.pin(pin, "/v1/gaps", table)}
    expected = csv_answers.gaps(market, asked | {"symbol": symbol and [symbol]})
    found = lake.asking.pages("/v1/gaps", page_rows(limit, expected), **asked)
    assert plain(expected) == plain({k: v for k, v in row.items() if k != "asset_class"} for row in found)


@MANY
@given(
    scope=drawn_questions.SCOPES,
    data_type=st.sampled_from(["trades", "quotes", "both"]),
    duplicates=st.sampled_from([None, True]),
    pin=PINNED,
    place=st.integers(0, 10_000),
)
def test_replay_of_any_range_is_the_files_in_order(lake, scope, data_type, duplicates, pin, place):
    """Quotes before trades at one microsecond, gaps before what showed them; after any row the rest follows."""
    asked = {**scope, "data_type": data_type, "include_duplicates": duplicates}
    expected = without_file(csv_answers.replay(lake.market(pin), asked))
    asked |= lake.pin(pin, "/v1/replay", data_type)
    assert plain(expected) == lake.asking.rows("/v1/replay", "ndjson", **asked)
    names = {name for row in expected for name in row}
    wide = plain({name: row.get(name) for name in names} for row in expected)
    for form in ("arrow", "parquet"):
        found = lake.asking.rows("/v1/replay", form, **asked)
        assert wide == [{name: row[name] for name in names} for row in found], form
    events = lake.asking.events("/v1/replay", **asked)
    assert plain(expected) == plain(row for _, row in events)
    if events:
        token = events[place % len(events)][0]
        rest = lake.asking.rows("/v1/replay", "ndjson", **asked, cursor=token)
        assert plain(expected[place % len(events) + 1 :]) == rest


@pytest.mark.parametrize("pin", PINS)
def test_answers_at_a_snapshot_are_the_same_bytes_when_the_lake_has_grown(lake, pin):
    """Every kind of question in every form: what was asked before the second part came, has the same answer after it."""
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
