"""Real files of the Australian exchange, through every process, compared with the files themselves.

They are not part of the repository: K2_TEST_DATA names their folder, with `asx-trades-SYMBOL.csv`,
`asx-quotes-SYMBOL.csv` and `asx-company-info.csv`.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import asx_oracle
from tests.exchange_files import exchange_files, symbols
from tests.pipeline.homes import Home, stopped

pytestmark = pytest.mark.real_data

WORKER_S = 3_600.0
"""Seconds that the worker of all of these tests may live."""

PATIENCE_S = 120.0
"""Seconds until a command must have ended."""

MODULES = {"k2": "k2app.cli.k2", "k2-query": "k2app.cli.k2_query"}


class Lake:
    """A lake asked and filled by processes alone."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.symbols = symbols(folder)

    def run(self, program: str, *arguments: str) -> str:
        main = f"from {MODULES[program]} import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", main, *arguments],
            env=os.environ | self.home.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def load(self) -> str:
        """Load every file; what the command printed."""
        printed = ""
        for kind in ("trades", "quotes"):
            names = [f"asx-{kind}-{symbol}.csv" for symbol in self.symbols]
            reference = ("--reference", "asx-company-info.csv", "--wait")
            printed += self.run("k2", "load", *names, "--profile", "asx", "--type", kind, *reference)
        return printed

    def ask(self, *arguments: str) -> dict:
        return json.loads(self.run("k2-query", *arguments, "-o", "json"))

    def answers(self, questions) -> list[dict]:
        return [self.ask(*question) for question in questions]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A lake with a worker at work and every file in it."""
    folder = exchange_files()
    home = Home(tmp_path_factory.mktemp("real") / "home")
    found = Lake(home, folder)
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.2"), WORKER_S):
        found.run("k2", "load", "asx-company-info.csv", "--profile", "asx", "--type", "reference_data")
        found.printed = found.load()
        yield found


@pytest.fixture(scope="module")
def expected(lake):
    """Trades and quotes by symbol, read from the files."""
    numbers, quote_numbers = asx_oracle.Numbers(), asx_oracle.Numbers()
    return {
        symbol: (
            asx_oracle.trades(lake.folder / f"asx-trades-{symbol}.csv", symbol, numbers),
            asx_oracle.quotes(lake.folder / f"asx-quotes-{symbol}.csv", symbol, quote_numbers),
        )
        for symbol in lake.symbols
    }


def test_every_row_is_there_as_it_is_in_the_file(lake, expected):
    """Times, exact decimals, qualifiers, venue, buyer, empty sides, numbers and flags; nothing more, nothing less."""
    for symbol, (trades, quotes) in expected.items():
        found = lake.ask("trades", "--symbol", symbol, "--limit", "100000")
        assert asx_oracle.in_order(trades) == asx_oracle.like(trades, found["rows"])
        found = lake.ask("quotes", "--symbol", symbol, "--limit", "100000")
        assert asx_oracle.in_order(quotes) == asx_oracle.like(quotes, found["rows"])
        assert any(quote["ask_price"] is None for quote in quotes)


def test_every_day_sums_up_as_the_file_does(lake, expected):
    """Open, high, low, close, volume, VWAP of what was made on the market; counts on and off it."""
    days = asx_oracle.summaries(row for trades, _ in expected.values() for row in trades)
    dates = sorted({day["trading_date"] for day in days})
    after = f"{int(dates[-1][:4]) + 1}-01-01"
    found = sorted(
        lake.ask("summaries", "--start-date", dates[0], "--end-date", after)["rows"],
        key=lambda day: (day["symbol"], day["trading_date"]),
    )
    assert days == asx_oracle.like(days, found)


def test_the_load_says_how_many_rows_it_brought(lake, expected):
    """Rows of each file, none refused, every flag first or ok; and the symbols' names are the exchange's."""
    for symbol, kinds in expected.items():
        for kind, rows in zip(("trades", "quotes"), kinds, strict=True):
            file = f"asx-{kind}-{symbol}.csv"
            first = sum(row["sequence_flag"] == "first" for row in rows)
            assert f"{file}: {len(rows):,} rows, 0 rejected, load " in lake.printed
            assert f"{file}: in the lake: first {first:,}, ok {len(rows) - first:,}\n" in lake.printed
    with (lake.folder / "asx-company-info.csv").open(newline="") as file:
        names = {row["symbol"]: row["company_name"] for row in csv.DictReader(file)}
    found = {row["symbol"]: row for row in lake.ask("symbols")["rows"]}
    for symbol, (trades, quotes) in expected.items():
        assert (names[symbol], len(trades), len(quotes)) == tuple(
            found[symbol][name] for name in ("name", "trades", "quotes")
        )


def test_a_second_load_changes_no_answer(lake, expected):
    """Every copy is told: rows, days, symbols and gaps are what they were."""
    questions = [
        *(("trades", "--symbol", symbol, "--limit", "100000") for symbol in expected),
        *(("quotes", "--symbol", symbol, "--limit", "100000") for symbol in expected),
        ("summaries", "--start-date", "2014-01-01", "--end-date", "2015-01-01"),
        ("symbols",),
        ("gaps", "--events"),
    ]
    before = lake.answers(questions)
    printed = lake.load()
    for symbol, kinds in expected.items():
        for kind, rows in zip(("trades", "quotes"), kinds, strict=True):
            assert f"asx-{kind}-{symbol}.csv: in the lake: duplicate {len(rows):,}\n" in printed
    after = lake.answers(questions)
    assert [asx_oracle.said(one) for one in before] == [asx_oracle.said(one) for one in after]
