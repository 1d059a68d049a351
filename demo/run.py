"""The main job on a generated market, checked against what the generator says it put in.

    python demo/run.py [--out demo-out] [--seed 7] [--trades 200000] [--quotes 400000]

Generates CSV files, loads them with `k2 load`, runs `k2 worker --drain`, then serves the lake and asks it over HTTP.
Whatever does not match the generator's ledger is printed, and the exit status is 1. Uses K2 as any user would: by its
commands and its HTTP interface.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
DATA_TYPES = ("trades", "quotes")
READY_S = 60.0
SHOWN_SYMBOLS = 5
SHOWN_GAPS = 8
SHOWN_MISMATCHES = 5

Ledger = dict[str, Any]


class Demo:
    """One run, in one folder."""

    def __init__(self, out: Path) -> None:
        self.market, self.home = out / "market", out / "home"
        self.port = free_port()
        self.environment = os.environ | {
            "K2_HOME": str(self.home.absolute()),
            "K2_WEB_PORT": str(self.port),
            "K2_LOGS_LEVEL": "warning",
        }
        self.mismatches: list[str] = []

    def k2(self, *arguments: str) -> str:
        """Run `k2`; returns what it printed."""
        command = [str(BIN / "k2"), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def expect(self, what: str, expected: Any, found: Any) -> None:
        """Note a mismatch, if it is one."""
        if expected != found:
            self.mismatches.append(f"{what}\n      expected {shown(expected)}\n      found    {shown(found)}")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run a worker that serves HTTP."""
        worker = subprocess.Popen([str(BIN / "k2"), "worker"], env=self.environment)
        try:
            self._until_ready(worker)
            yield
        finally:
            worker.terminate()
            self.expect("exit status of the worker on SIGTERM", 0, worker.wait(READY_S))

    def _until_ready(self, worker: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and worker.poll() is None:
            try:
                self.get("/health/ready")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise SystemExit(f"the worker was not ready within {READY_S} s")

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Ask over HTTP."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}{query}", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def pages(self, path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Every row of a paged resource."""
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **parameters, **cursor)
            yield from page["rows"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}


def shown(value: Any) -> str:
    """A value for people: of many, the first few."""
    if isinstance(value, set) and len(value) > SHOWN_MISMATCHES:
        return f"{len(value)}, such as {sorted(map(str, value))[:SHOWN_MISMATCHES]}"
    return str(value)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- the steps


def generate(demo: Demo, options: argparse.Namespace) -> Ledger:
    """Make the market; returns the generator's ledger of what it put in."""
    command = [sys.executable, str(HERE / "generate.py"), str(demo.market), "--seed", str(options.seed)]
    command += ["--trades", str(options.trades), "--quotes", str(options.quotes)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ledger: Ledger = json.loads((demo.market / "ledger.json").read_text())
    return ledger


def load(demo: Demo, ledger: Ledger) -> None:
    """Load every file, in the ledger's order."""
    for (exchange, data_type), names in grouped(ledger).items():
        files = [str(demo.market / name) for name in names]
        print(demo.k2("load", *files, "--exchange", exchange, "--type", data_type), end="")


def grouped(ledger: Ledger) -> dict[tuple[str, str], list[str]]:
    """Files by exchange and data type, in load order."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in ledger["load_order"]:
        file = ledger["files"][name]
        found.setdefault((file["exchange"], file["data_type"]), []).append(name)
    return found


def drain(demo: Demo, rows: int) -> None:
    """Commit everything that was loaded."""
    started = time.perf_counter()
    demo.k2("worker", "--drain")
    took_s = time.perf_counter() - started
    print(f"ingested {rows:,} rows in {took_s:.1f} s, start-up included: {rows / took_s:,.0f} rows/s\n")


# --- what came out, against the ledger


def compare_rejects(demo: Demo, ledger: Ledger) -> None:
    """Rejected rows: the same files, lines and fields."""
    expected = {
        (name, r["line"], r["field"]) for name, file in ledger["files"].items() for r in file["rejects"]
    }
    lines = [
        line for file in (demo.home / "rejects").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    found = {(Path(r["file"]).name, r["line"], r["field"]) for r in map(json.loads, lines)}
    demo.expect("rejects missing", set(), expected - found)
    demo.expect("rejects not expected", set(), found - expected)
    print(f"rejected                {len(lines):>9,}  as injected {len(expected):,}")


def compare_flags(demo: Demo, ledger: Ledger) -> None:
    """Rows by flag, per table."""
    stats = {row["table"]: row for row in demo.get("/v1/stats")["rows"]}
    for data_type in DATA_TYPES:
        expected: Counter[str] = Counter()
        for market in ledger["markets"].values():
            expected.update(market[data_type]["flags"])
        found = stats[data_type]["flags"]
        demo.expect(f"{data_type} by flag", {k: v for k, v in expected.items() if v}, found)
        print(
            f"{data_type:<8} committed      {stats[data_type]['rows']:>9,}  as injected {expected.total():,}"
        )
        for flag, count in sorted(found.items(), key=lambda item: -item[1]):
            print(f"    {flag:<19} {count:>9,}  as injected {expected[flag]:,}")


def compare_symbols(demo: Demo, ledger: Ledger) -> None:
    """Rows that a query shows, per symbol."""
    found = {(r["exchange"], r["symbol"]): r for r in demo.pages("/v1/symbols")}
    for exchange, market in ledger["markets"].items():
        for data_type in DATA_TYPES:
            for symbol, count in market[data_type]["visible_by_symbol"].items():
                row = found.get((exchange, symbol), {})
                demo.expect(f"visible {data_type} of {symbol} at {exchange}", count, row.get(data_type))


def compare_gaps(demo: Demo, ledger: Ledger) -> list[dict[str, Any]]:
    """Gaps that are still open, range by range; returns them."""
    expected = {
        (g["exchange"], g["data_type"], g["symbol"], g["scope"], g["epoch"], span["from"], span["to"])
        for g in ledger["gaps"]
        for span in g["open"]
    }
    rows = list(demo.pages("/v1/gaps", open_only="true", limit="10000"))
    found = {
        (
            r["exchange"],
            r["data_type"],
            r["symbol"],
            r["trading_date"],
            r["epoch"],
            r["from_sequence"],
            r["to_sequence"],
        )
        for r in rows
    }
    demo.expect("open gaps missing", set(), expected - found)
    demo.expect("open gaps not expected", set(), found - expected)
    print(f"open gaps               {len(rows):>9,}  as injected {len(expected):,}")
    events = Counter(e["event"] for g in ledger["gaps"] for e in g["events"])
    recorded = Counter(r["event"] for r in demo.pages("/v1/gaps", events="true", limit="10000"))
    demo.expect("gap events", events, recorded)
    print(f"gap events              {recorded.total():>9,}  as injected {events.total():,}\n")
    return rows


def compare_days(demo: Demo, ledger: Ledger) -> list[dict[str, Any]]:
    """Daily summaries, to the last digit; returns them."""
    rows = []
    for day in ledger["asx_days"]:
        (row,) = demo.get(f"/v1/summary/{day['symbol']}/{day['trading_date']}", exchange="asx")["rows"]
        demo.expect(f"summary of {day['symbol']} on {day['trading_date']}", day, {k: row.get(k) for k in day})
        rows.append(row)
    return rows


# --- reports


def print_days(rows: list[dict[str, Any]]) -> None:
    """Print the last day's summary of some symbols."""
    columns = ("symbol", "open", "high", "low", "close", "vwap", "volume", "trades", "open_gaps")
    last = max(row["trading_date"] for row in rows)
    print(f"daily summary, ASX, {last}")
    print("  " + "".join(f"{name:>14}" for name in columns))
    for row in [r for r in rows if r["trading_date"] == last][:SHOWN_SYMBOLS]:
        print("  " + "".join(f"{row[name]!s:>14}" for name in columns))
    print()


def print_gaps(rows: list[dict[str, Any]]) -> None:
    """Print the largest gaps that are still open."""
    print("gap report: the largest gaps that are still open")
    for row in sorted(rows, key=lambda r: -r["missing"])[:SHOWN_GAPS]:
        span = f"{row['from_sequence']}..{row['to_sequence']}"
        day = row["trading_date"] or "continuous"
        print(
            f"  {row['exchange']:<8} {row['data_type']:<7} {row['symbol']:<9} {day:<11} {span:>20}"
            f"  {row['missing']:,} missing"
        )
    print()


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--trades", type=int, default=200_000)
    parser.add_argument("--quotes", type=int, default=400_000)
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    demo = Demo(options.out)
    ledger = generate(demo, options)
    print(f"generated {ledger['totals']['rows']:,} rows in {len(ledger['files'])} files\n")
    load(demo, ledger)
    drain(demo, ledger["totals"]["good"])
    with demo.serving():
        compare_rejects(demo, ledger)
        compare_flags(demo, ledger)
        compare_symbols(demo, ledger)
        gaps = compare_gaps(demo, ledger)
        days = compare_days(demo, ledger)
    print_days(days)
    print_gaps(gaps)
    if demo.mismatches:
        raise SystemExit("NOT as injected:\n    " + "\n    ".join(demo.mismatches))
    symbol = days[0]["symbol"]
    print(f"everything is as injected. Serve and query this lake:\n  export K2_HOME={options.out / 'home'}")
    print("  .venv/bin/k2 worker                              # then http://127.0.0.1:6066/v1/trades")
    print(f"  .venv/bin/k2-query trades --symbol {symbol} --limit 5")
    print(f"  .venv/bin/k2-query summary {symbol} {days[0]['trading_date']}")
    print("  .venv/bin/k2-query gaps --open-only")


if __name__ == "__main__":
    main()
