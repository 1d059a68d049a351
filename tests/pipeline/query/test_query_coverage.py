"""What there is and what is missing: ranges, completeness by trading date, symbols and their names."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta

import pytest

from k2app.errors import RequestError
from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.answers.result_text import to_json
from k2app.query.coverage.requests import CompletenessRequest, RangeRequest
from k2app.query.engine import QueryEngine
from k2app.query.lake_queries import COMPLETENESS_QUERY, RANGE_QUERY
from k2app.query.requests import StatsRequest, SymbolsRequest, make
from k2app.settings import Settings
from tests.query_lake import DAY_US, MONDAY, append, at, company, gap, quote, trade

DAYS = 9
SYMBOLS = {
    "asx": ("BHP", "RIO", "XYZ"),
    "binance": ("BTCUSDT", "ETHUSDT"),
    "generic": ("GEN",),
    "other": ("ODD",),
}
FLAGS = ("ok", "ok", "ok", "late", "duplicate", "conflict", "uncertain")


def market(chance):
    """Rows of every kind of numbering, with holes, copies, resets and rows without a number."""
    rows, offset = [], 0
    for exchange, symbols in SYMBOLS.items():
        for symbol in symbols:
            for day in range(DAYS):
                for _ in range(chance.choice([0, 0, 3, 6])):
                    number = chance.randint(1, 9) + (4 * day if exchange == "binance" else 0)
                    rows.append(
                        trade(
                            offset, symbol=symbol, exchange=exchange, micros=day * DAY_US + offset,
                            sequence=chance.choice([number, number, number, None]),
                            epoch=chance.choice([0, 0, 1]), trading_date=MONDAY + timedelta(days=day),
                            sequence_flag=chance.choice(FLAGS),
                        )
                    )  # fmt: skip
                    offset += 1
    return rows


def gap_events(chance):
    events = []
    for n in range(60):
        start = 10 * n
        where = {
            "symbol": chance.choice(["BHP", "RIO"]),
            "trading_date": MONDAY + timedelta(days=chance.randint(0, DAYS - 1)),
        }
        events.append(gap("opened", 4 * n, start, start + 3, **where))
        for kind, first, last in (("filled", start, start + 1), ("abandoned", start + 2, start + 3)):
            came = [number for number in range(first, last + 1) if chance.random() < 0.7]
            events += [gap(chance.choice([kind, "filled"]), 4 * n + 1, it, it, **where) for it in came]
    return events


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Engine, trades and gap events of a made-up fortnight."""
    settings = Settings(home=tmp_path_factory.mktemp("lake") / "home")
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    chance = random.Random(7)  # noqa: S311 - rows, not secrets
    rows, events = market(chance), gap_events(chance)
    append(catalog, settings, "gaps", events)
    append(catalog, settings, "trades", rows[::2])
    append(catalog, settings, "trades", rows[1::2])
    append(catalog, settings, "quotes", [quote(n, micros=n * DAY_US) for n in range(3)])
    opened = QueryEngine(settings, catalog, exchanges.load())
    yield opened, rows, events
    opened.close()
    catalog.close()


def ask(engine, query, **values):
    return engine.answer(query, make(query.request, **values))


def test_a_range_is_from_the_first_to_the_last_of_each_symbol(lake):
    """Against a loop over the rows; copies are not counted, their times are."""
    engine, rows, _ = lake
    model = defaultdict(list)
    for row in rows:
        model["trades", row["symbol"], row["exchange"]].append(row)
    found = ask(engine, RANGE_QUERY)
    assert {
        key: (
            min(r["timestamp"] for r in inside),
            max(r["timestamp"] for r in inside),
            sum(r["sequence_flag"] != "duplicate" for r in inside),
        )
        for key, inside in model.items()
    } | {("quotes", "BHP", "asx"): (at(0), at(2 * DAY_US), 3)} == {
        (r["table"], r["symbol"], r["exchange"]): (r["first_timestamp"], r["last_timestamp"], r["rows"])
        for r in found.rows.to_pylist()
    }
    some = ask(engine, RANGE_QUERY, data_type="trades", symbol=("RIO", "NONE"), exchange="asx")
    assert ["RIO"] == some.rows["symbol"].to_pylist()
    assert "unknown_symbol" in [notice.code for notice in some.warnings]


# --- completeness, the slow and obvious way


def numbers_of(rows, exchange):
    """Expected and seen numbers by symbol and date, number by number."""
    dated = exchange == "asx"
    scopes = defaultdict(list)
    for row in rows:
        if row["exchange"] == exchange and row["sequence"] is not None:
            scopes[row["symbol"], row["trading_date"] if dated else None, row["epoch"]].append(row)
    expected, seen = defaultdict(int), defaultdict(int)
    for (symbol, _, epoch), inside in scopes.items():
        there = {row["sequence"] for row in inside}
        below = min(there)
        if dated and epoch == 0:
            below = min(below, 1)
        for day in sorted({row["trading_date"] for row in inside}):
            high = max(row["sequence"] for row in inside if row["trading_date"] <= day)
            for number in range(below, high + 1):
                expected[symbol, day] += 1
                seen[symbol, day] += number in there
            expected[symbol, day] += 0
            below = max(below, high + 1)
    return {key: (expected[key], seen[key]) for key in expected}


def gaps_of(events):
    found = defaultdict(lambda: defaultdict(int))
    for event in events:
        if event["event"] == "opened":
            scope = (event["symbol"], event["trading_date"])
            kinds = defaultdict(set)
            for other in events:
                if (other["symbol"], other["trading_date"]) == scope:
                    kinds[other["event"]] |= set(range(other["from_sequence"], other["to_sequence"] + 1))
            wanted = set(range(event["from_sequence"], event["to_sequence"] + 1))
            if wanted - kinds["filled"] - kinds["abandoned"]:
                found[scope]["open"] += 1
            elif wanted <= kinds["filled"]:
                found[scope]["filled"] += 1
            else:
                found[scope]["abandoned"] += 1
    return found


def modelled(rows, events):
    """Every row of the answer by symbol, exchange and date."""
    numbers = {name: numbers_of(rows, name) for name in ("asx", "binance")}
    gaps, dates, model = gaps_of(events), defaultdict(set), {}
    for row in rows:
        dates[row["symbol"], row["exchange"]].add(row["trading_date"])
    for (symbol, exchange), there in dates.items():
        for n in range((max(there) - min(there)).days + 1):
            day = min(there) + timedelta(days=n)
            inside = [
                r for r in rows if (r["symbol"], r["exchange"], r["trading_date"]) == (symbol, exchange, day)
            ]
            if not inside and day.weekday() > 4 and exchange != "binance":
                continue
            flags = [r["sequence_flag"] for r in inside]
            visible = [r for r in inside if r["sequence_flag"] != "duplicate"]
            expected, seen = numbers.get(exchange, {}).get((symbol, day), (None, None))
            opened = gaps[symbol, day]["open"] if exchange == "asx" else 0
            state = "missing" if not visible else "available"
            if visible and (opened or "conflict" in flags or expected != seen):
                state = "degraded"
            model[symbol, exchange, day] = (
                state, len(visible), expected, seen, opened, gaps[symbol, day]["filled"],
                flags.count("duplicate"), flags.count("conflict"), flags.count("late"),
                sum(r["sequence"] is None for r in visible),
            )  # fmt: skip
    return model


COLUMNS = (
    *("state", "rows", "expected", "seen", "gaps_open", "gaps_filled", "duplicates", "conflicts", "late"),
    "unsequenced",
)


def by_day(result):
    return {
        (r["symbol"], r["exchange"], r["trading_date"]): tuple(r[name] for name in COLUMNS)
        for r in result.rows.to_pylist()
    }


def test_completeness_is_what_a_count_number_by_number_finds(lake):
    """Every rule: counted one by one by date or on and on, growing only, and an exchange that nobody configured."""
    engine, rows, events = lake
    model = modelled(rows, events)
    whole = ask(engine, COMPLETENESS_QUERY)
    assert model == by_day(whole)
    assert {"available", "degraded", "missing"} == {row[0] for row in model.values()}
    missing = sum(row[0] == "missing" for row in model.values())
    assert [("dates_missing", missing)] == [(notice.code, notice.count) for notice in whole.warnings]
    rules = {(r["exchange"], r["rule"]) for r in whole.rows.to_pylist()}
    assert ("asx", "contiguous trading_date first=1") in rules
    assert {("generic", "increasing continuous"), ("other", None)} <= rules


def test_a_part_of_completeness_is_the_same_as_in_the_whole(lake):
    """Filters by symbol, exchange, date and state take rows out and change none; pages walk through all."""
    engine, rows, events = lake
    model = modelled(rows, events)
    start, end = MONDAY + timedelta(days=2), MONDAY + timedelta(days=6)
    for values, wanted in (
        ({"start_date": start, "end_date": end}, lambda key, _: start <= key[2] < end),
        (
            {"exchange": "binance", "start_date": start},
            lambda key, _: key[1] == "binance" and key[2] >= start,
        ),
        ({"symbol": ("RIO", "GEN")}, lambda key, _: key[0] in {"RIO", "GEN"}),
        ({"state": "degraded"}, lambda _, row: row[0] == "degraded"),
    ):
        part = {key: row for key, row in model.items() if wanted(key, row)}
        assert part == by_day(ask(engine, COMPLETENESS_QUERY, **values))
    walked, cursor = {}, None
    while cursor is not None or not walked:
        page = ask(engine, COMPLETENESS_QUERY, limit=7, cursor=cursor)
        walked, cursor = walked | by_day(page), page.next
    assert model == walked
    quotes = ask(engine, COMPLETENESS_QUERY, data_type="quotes")
    assert [None] == quotes.rows["expected"].to_pylist()
    with pytest.raises(RequestError, match=r"^end_date: is before start_date"):
        make(CompletenessRequest, start_date="2026-01-02", end_date="2026-01-01")


def test_rows_of_a_retracted_load_are_missing_again(put, engine, record):
    """Their numbers are still expected: nothing takes their place."""
    put("trades", [trade(n, sequence=n + 1, load_id="ab"[n // 2]) for n in range(4)])
    (full,) = ask(engine, COMPLETENESS_QUERY).rows.to_pylist()
    assert ("available", 4, 4) == (full["state"], full["expected"], full["seen"])
    record("b")
    answer = ask(engine, COMPLETENESS_QUERY)
    (row,) = answer.rows.to_pylist()
    assert ("degraded", 2, 4, 2, 2) == tuple(
        row[k] for k in ("state", "rows", "expected", "seen", "retracted_hidden")
    )
    assert ["retracted_hidden"] == [notice.code for notice in answer.warnings]
    assert [full] == ask(engine, COMPLETENESS_QUERY, include_retracted=True).rows.to_pylist()
    assert ["trades"] == ask(engine, RANGE_QUERY, data_type="trades").rows["table"].to_pylist()


# --- symbols and stats


def names(result):
    return {r["symbol"]: (r["name"], r["isin"], r["listed_from"]) for r in result.rows.to_pylist()}


def test_names_are_those_of_the_moment_that_was_asked(put, engine):
    """Reference data that came after the last trade counts now; as of then, and at that snapshot, it does not."""
    put("reference_data", [company(0, "BHP", "Old")])
    snapshot = put("trades", [trade(0), trade(1, symbol="RIO")])
    then = engine.symbols(SymbolsRequest())
    later = put(
        "reference_data", [company(1, "BHP", "New", isin="AU1", committed_at=at(5)), company(2, "RIO", "Rio")]
    )
    now = engine.symbols(SymbolsRequest())
    assert {"BHP": ("New", "AU1", None), "RIO": ("Rio", None, None)} == names(now)
    assert later == now.snapshots["reference_data"]
    for pin in (
        {"as_of": then.as_of_us},
        {"snapshot_id": snapshot},
        {"snapshots": ",".join(f"{n}:{i or 'none'}" for n, i in then.snapshots.items())},
    ):
        assert to_json(then) == to_json(engine.symbols(make(SymbolsRequest, **pin)))
    assert to_json(now) == to_json(engine.symbols(SymbolsRequest(as_of=now.as_of_us)))
    assert {"BHP": ("Old", None, None), "RIO": (None, None, None)} == names(then)
    assert "AUD" == now.rows["currency"][0].as_py()


def test_a_date_asks_for_the_record_that_was_valid_then(put, engine):
    """Both ends belong to it; the newest of several; none where nothing was listed."""
    renamed = date(2020, 7, 1)
    put(
        "reference_data",
        [
            company(0, "BHP", "First", listed_to=renamed),
            company(1, "BHP", "Second", listed_from=renamed + timedelta(days=1), listed_to=date(2024, 1, 1)),
            company(
                2,
                "BHP",
                "Second, mended",
                listed_from=renamed + timedelta(days=1),
                listed_to=date(2024, 1, 1),
            ),
        ],
    )
    put("trades", [trade(0)])
    for day, name in (
        (renamed, "First"),
        (renamed + timedelta(days=1), "Second, mended"),
        (date(2024, 1, 1), "Second, mended"),
        (date(2024, 1, 2), None),
    ):
        assert name == engine.symbols(SymbolsRequest(date=day)).rows["name"][0].as_py()
    assert "Second, mended" == engine.symbols(SymbolsRequest()).rows["name"][0].as_py()


def test_stats_count_what_was_known_when_snapshots_have_expired(put, engine, catalog, settings):
    """Rows come from the metadata; where the snapshot of then is gone, they are counted."""
    put("trades", [trade(0, committed_at=at(0))])
    put("trades", [trade(1, committed_at=at(10_000_000)), trade(2, committed_at=at(10_000_000))])
    table = load(catalog, settings, Name.TRADES)
    table.maintenance.expire_snapshots().by_id(table.metadata.snapshots[0].snapshot_id).commit()
    counted = {}
    for as_of in (None, int(at(5_000_000).timestamp()) * 1_000_000):
        rows = engine.stats(StatsRequest(as_of=as_of)).rows.to_pylist()
        counted[as_of] = {row["table"]: row["rows"] for row in rows}["trades"]
    assert [3, 1] == list(counted.values())


def test_a_range_request_takes_the_parameters_it_says():
    """Unknown data types are refused by name."""
    with pytest.raises(RequestError, match=r"^data_type: "):
        make(RangeRequest, data_type="bars")
