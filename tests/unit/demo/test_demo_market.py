"""The demo's market is what its ledger says, checked with an oracle that knows only the files."""

from __future__ import annotations

import ast
import csv
import datetime as dt
import sys
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path
from typing import Any

import market_oracle as oracle
import pytest
from market_recount import GENERATE, Market, generate, recount

OFF_MARKET = {"1", "3", "9"}


@pytest.fixture(
    scope="session", params=[(7, 2_000, 4_000), (0, 2_000, 2_000), (2**40, 9_001, 12_345)], ids=str
)
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Markets of several seeds and sizes, the smallest allowed among them."""
    seed, trades, quotes = request.param
    folder = tmp_path_factory.mktemp("market")
    done = generate(folder, "--seed", str(seed), "--trades", str(trades), "--quotes", str(quotes))
    assert (done.returncode, done.stderr) == (0, "")
    return recount(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two runs with equal parameters write equal files; another seed writes others."""
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert (
            generate(tmp_path / name, "--seed", seed, "--trades", "2000", "--quotes", "2000").returncode == 0
        )
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


def test_rejects_are_where_the_ledger_says(market: Market) -> None:
    """Each malformed row is listed with its line and the field at fault; no other row is malformed."""
    expected = {
        name: [(r["line"], r["field"]) for r in entry["rejects"]]
        for name, entry in market.ledger["files"].items()
        if entry["data_type"] != "reference_data"
    }
    assert expected == market.rejects


def test_flags_are_where_the_ledger_says(market: Market) -> None:
    """Every good row has the flag that the ledger gives its line, `ok` where it gives none."""
    for name, found in market.flags.items():
        entry = market.ledger["files"][name]
        assert entry["flags"] == {flag: lines for flag, lines in found.items() if flag != "ok"}
        assert entry["good"] == sum(map(len, found.values())) == entry["rows"] - len(entry["rejects"])


def test_totals_follow_from_the_files(market: Market) -> None:
    """Counts by flag, visible rows and totals agree with a recount."""
    flags = Counter((exchange, data_type, flag) for exchange, data_type, flag, _, _ in market.stored)
    for exchange, by_type in market.ledger["markets"].items():
        for data_type, entry in by_type.items():
            found = {f: n for (x, d, f), n in flags.items() if (x, d) == (exchange, data_type)}
            assert entry["flags"] == found
            assert entry["visible"] == sum(found.values()) - found.get("duplicate", 0)
            assert entry["visible"] == sum(entry["visible_by_symbol"].values())
    assert market.ledger["totals"]["good"] == len(market.stored)
    assert market.ledger["totals"]["rejected"] == sum(map(len, market.rejects.values()))


def test_no_fewer_rows_than_asked_for(market: Market) -> None:
    """The distinct rows of each type are as many as the command line asked for."""
    for data_type in ("trades", "quotes"):
        distinct = {
            (x, row["symbol"], oracle.scope_of(x, row), epoch, row["sequence"])
            for x, d, _, epoch, row in market.stored
            if d == data_type
        }
        assert market.ledger[data_type] == len(distinct)


def severity(first: int, last: int) -> str:
    return "small" if last - first + 1 <= 10 else "large"


def test_gap_events_and_open_gaps(market: Market) -> None:
    """Each stream's gaps open, fill and are abandoned as listed, and the rest is open at the end."""
    found: dict[Any, Any] = {
        (*kind, *key): (
            [
                (event, first, last, severity(first, last), epoch)
                for event, first, last, epoch in state.events
            ],
            [(first, last, severity(first, last)) for first, last in state.ranges()],
            state.epoch,
        )
        for kind, states in market.states.items()
        for key, state in states.items()
        if kind != ("binance", "quotes")
    }
    expected = {
        (gap["exchange"], gap["data_type"], gap["symbol"], gap["scope"]): (
            [(e["event"], e["from"], e["to"], e["severity"], e["epoch"]) for e in gap["events"]],
            [(o["from"], o["to"], o["severity"]) for o in gap["open"]],
            gap["epoch"],
        )
        for gap in market.ledger["gaps"]
    }
    assert expected == found


def test_gap_events_name_the_row_that_causes_them(market: Market) -> None:
    """File and line of an event lead to a row of its symbol with a flag that can cause it."""
    causes = {"opened": {"first", "gap", "late"}, "filled": {"late"}, "abandoned": {"reset"}}
    for gap in market.ledger["gaps"]:
        for event in gap["events"]:
            flags = market.ledger["files"][event["file"]]["flags"]
            assert any(event["line"] in flags.get(flag, ()) for flag in causes[event["event"]])
            line = (market.folder / event["file"]).read_text(encoding="utf-8").splitlines()[event["line"] - 1]
            assert gap["symbol"] == line.split(",")[0]


def test_duplicates_are_exact(market: Market) -> None:
    """A row flagged `duplicate` equals one already stored under its key: hiding it hides nothing."""
    seen: dict[Any, oracle.Row] = {}
    for exchange, data_type, flag, epoch, row in market.stored:
        key = (exchange, data_type, row["symbol"], oracle.scope_of(exchange, row), epoch, row["sequence"])
        assert flag != "duplicate" or seen[key] == row
        seen.setdefault(key, row)


def canonical(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bar(rows: list[oracle.Row]) -> dict[str, Any]:
    """Bar of one symbol's visible trades of a day, by definition."""
    off = [row for row in rows if OFF_MARKET & set(row["conditions"].split(";"))]
    on = sorted((r for r in rows if r not in off), key=lambda r: (r["timestamp"], int(r["sequence"])))
    prices = [Decimal(row["price"]) for row in on]
    volume = sum((Decimal(row["quantity"]) for row in on), Decimal(0))
    with localcontext(prec=60):
        notional = sum((Decimal(row["price"]) * Decimal(row["quantity"]) for row in on), Decimal(0))
        vwap = (notional / volume).quantize(Decimal("1e-8"), ROUND_HALF_EVEN)
    return {
        "open": canonical(prices[0]),
        "high": canonical(max(prices)),
        "low": canonical(min(prices)),
        "close": canonical(prices[-1]),
        "volume": canonical(volume),
        "vwap": canonical(vwap),
        "trades": len(on),
        "off_market_trades": len(off),
        "off_market_volume": canonical(sum((Decimal(row["quantity"]) for row in off), Decimal(0))),
    }


def test_bars_of_the_asx_days(market: Market) -> None:
    """Open, high, low, close, volume and VWAP are those of the visible on-market trades of the day."""
    days: dict[tuple[str, str | None], list[oracle.Row]] = {}
    for exchange, data_type, flag, _, row in market.stored:
        if (exchange, data_type) == ("asx", "trades") and flag != "duplicate":
            days.setdefault((row["symbol"], oracle.scope_of(exchange, row)), []).append(row)
    expected = {(entry.pop("symbol"), entry.pop("trading_date")): entry for entry in asx_days(market)}
    assert expected == {key: bar(rows) for key, rows in days.items()}


def asx_days(market: Market) -> list[dict[str, Any]]:
    return [dict(entry) for entry in market.ledger["asx_days"]]


def test_traps_for_bars_are_there(market: Market) -> None:
    """Off-market prints would spoil open and high, and a tie in time would spoil open, were they not handled."""
    spoiled = tied = 0
    for entry in asx_days(market):
        trades = [
            row
            for x, d, _, _, row in market.stored
            if (x, d) == ("asx", "trades")
            and (row["symbol"], oracle.scope_of(x, row)) == (entry["symbol"], entry["trading_date"])
        ]
        first = min(trades, key=lambda row: (row["timestamp"], int(row["sequence"])))
        spoiled += Decimal(first["price"]) > Decimal(entry["high"])
        on = [row for row in trades if not OFF_MARKET & set(row["conditions"].split(";"))]
        opening = min(row["timestamp"] for row in on)
        tied += len({Decimal(row["price"]) for row in on if row["timestamp"] == opening}) > 1
    assert spoiled == 60
    assert tied == 60


def test_every_kind_of_fault_occurs(market: Market) -> None:
    """Even the smallest market holds every reject, flag, gap event and severity."""
    book = market.ledger
    kinds = {r["kind"] for entry in book["files"].values() for r in entry["rejects"]}
    common = {
        "bad_price",
        "nan_price",
        "too_many_places",
        "too_many_digits",
        "missing_symbol",
        "bad_timestamp",
    }
    rest = {"naive_timestamp", "too_few_fields", "too_many_fields", "bad_sequence"}
    assert common | rest | {"unknown_side", "empty_quantity"} == kinds
    asx = {"ok", "first", "gap", "late", "duplicate"}
    assert asx == set(book["markets"]["asx"]["trades"]["flags"])
    assert asx == set(book["markets"]["asx"]["quotes"]["flags"])
    assert asx | {"reset"} == set(book["markets"]["binance"]["trades"]["flags"])
    assert {"ok", "first", "duplicate", "regressed"} == set(book["markets"]["binance"]["quotes"]["flags"])
    events = {(e["event"], e["severity"]) for gap in book["gaps"] for e in gap["events"]}
    assert {("opened", "small"), ("opened", "large"), ("filled", "small"), ("abandoned", "small")} <= events


def test_resets_with_and_without_open_gaps(market: Market) -> None:
    """Of the coins that reset, some abandon gaps and one has none to abandon; a late row crosses days."""
    coins = {
        g["symbol"]: g
        for g in market.ledger["gaps"]
        if (g["exchange"], g["data_type"]) == ("binance", "trades")
    }
    assert {symbol: gap["epoch"] for symbol, gap in coins.items()} == {
        "BTCUSDT": 0,
        "ETHUSDT": 1,
        "SOLUSDT": 2,
        "XRPUSDT": 1,
        "DOGEUSDT": 0,
    }
    abandoned = {s: sum(e["event"] == "abandoned" for e in gap["events"]) for s, gap in coins.items()}
    assert abandoned["ETHUSDT"] > 0
    assert abandoned["SOLUSDT"] > 1
    assert abandoned["XRPUSDT"] == 0


def test_late_rows_in_the_file_of_a_later_day(market: Market) -> None:
    """Some gaps of a trading date are filled from the next day's file, and some rows come again there."""
    across = [
        event
        for gap in market.ledger["gaps"]
        for event in gap["events"]
        if gap["scope"] is not None and gap["scope"] not in event["file"]
    ]
    assert {"filled"} == {event["event"] for event in across}
    assert len(across) == 8


def test_days_lie_on_both_sides_of_the_end_of_daylight_saving(market: Market) -> None:
    """Sydney's offset is 11 hours on the first trading day and 10 on the others; none is a holiday."""
    days = sorted({entry["trading_date"] for entry in asx_days(market)})
    assert days == ["2026-04-02", "2026-04-07", "2026-04-08"]
    offsets = [dt.datetime.fromisoformat(day).replace(tzinfo=oracle.SYDNEY).utcoffset() for day in days]
    assert [dt.timedelta(hours=hours) for hours in (11, 10, 10)] == offsets


def test_some_quotes_lack_a_side(market: Market) -> None:
    """Empty sides occur on both exchanges, price and quantity together, never both sides at once."""
    for exchange in ("asx", "binance"):
        rows = [row for x, d, _, _, row in market.stored if (x, d) == (exchange, "quotes")]
        bids = [row for row in rows if row["bid_price"] == ""]
        asks = [row for row in rows if row["ask_price"] == ""]
        assert bids
        assert asks
        assert all(row["bid_quantity"] == "" != row["ask_price"] for row in bids)
        assert all(row["ask_quantity"] == "" != row["bid_price"] for row in asks)


def test_reference_data_covers_every_symbol(market: Market) -> None:
    """Each symbol that trades has one listing, and each ASX listing an ISIN with a right check digit."""
    for exchange, count in (("asx", 20), ("binance", 5)):
        name = f"reference-{exchange}.csv"
        with (market.folder / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert count == len(rows) == market.ledger["files"][name]["good"]
        assert {row["symbol"] for row in rows} == {
            r["symbol"] for x, _, _, _, r in market.stored if x == exchange
        }
        assert all(exchange == "binance" or passes_luhn(row["isin"]) for row in rows)


def passes_luhn(isin: str) -> bool:
    digits = [int(d) for d in "".join(str(int(char, 36)) for char in isin)][::-1]
    return sum(digits[::2] + [sum(divmod(2 * d, 10)) for d in digits[1::2]]) % 10 == 0 and len(isin) == 12


def test_the_generator_knows_nothing_of_the_program() -> None:
    """It imports the standard library, numpy and its own files: the truth must not come from what it tests."""
    own = {path.stem for path in GENERATE.parent.glob("*.py")}
    for path in GENERATE.parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.split(".")[0] for name in names} <= own | {"numpy"} | sys.stdlib_module_names


def test_help_has_examples() -> None:
    """Help names the files and shows commands that can be typed."""
    done = generate("--help")
    assert done.returncode == 0
    assert "python demo/generate.py demo-out" in done.stdout


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    """A market without room for every fault is an error that says how many rows are needed."""
    done = generate(tmp_path / "none", "--trades", "1999")
    assert done.returncode == 2
    assert "at least 2000 rows" in done.stderr
    assert not (tmp_path / "none").exists()
