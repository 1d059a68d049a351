"""How fast files become Arrow rows: `python bench/csv_read.py [ROWS]`, one core, best of three.

Prints one line per profile and kind of file. `count` and `assign` are the two passes of numbering.

With `--memory MEGABYTES` instead: writes a file of that size, reads it once in the settings' blocks, and prints the
highest memory of the process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from k2app.load import numbering, profiles, reader
from k2app.market import exchanges, sessions
from k2app.market.topics import DataType
from k2app.settings import LoadSettings

BLOCK_BYTES = LoadSettings().block_bytes
REPEATS = 3


def k2_trades(rows: int, quote: str = "") -> str:
    """Trades in the k2 profile."""
    lines = ["symbol,timestamp,price,quantity,side,trade_id,conditions,sequence"]
    lines += [
        f"{quote}SYM{i % 100:03d}{quote},2014-03-10T0{i % 10}:{i % 60:02d}:{i * 7 % 60:02d}.{i % 1000:03d}Z,"
        f"{100 + i % 50}.{i % 100:02d},{i % 1000},BUY,T{i},{'XT;1' if i % 5 == 0 else ''},{i}"
        for i in range(rows)
    ]
    return "\n".join(lines) + "\n"


def asx_trades(rows: int) -> str:
    """Trades in the asx profile."""
    return "".join(
        f"03/{1 + i % 28:02d}/2014,{10 + i % 6}:{i % 60:02d}:{i * 7 % 60:02d}.{i % 1000:03d},"
        f"0.{600 + i % 99},{i % 5000},{i % 3},,\r\n"
        for i in range(rows)
    )


def binance_trades(rows: int) -> str:
    """Spot trades in the binance profile: no header."""
    return "".join(
        f"{4_000_000_000 + i},{42000 + i % 500}.{i % 100:02d}000000,0.{i % 99999 + 1:05d}000,{i % 9999}.12345678,"
        f"{1_735_689_600_000_000 + 137 * i},{'True' if i % 3 else 'False'},True\n"
        for i in range(rows)
    )


def binance_agg_trades(rows: int) -> str:
    """Aggregate trades of futures in the binance-agg profile: with a header."""
    lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
    lines += [
        f"{3_000_000 + i},{42000 + i % 500}.{i % 10},0.{i % 999 + 1:03d},{9_000_000 + 2 * i},{9_000_001 + 2 * i},"
        f"{1_735_689_600_000 + i},{'true' if i % 3 else 'false'}"
        for i in range(rows)
    ]
    return "\n".join(lines) + "\n"


def databento_trades(rows: int, *, pretty: bool) -> str:
    """Trades in the databento profile."""
    lines = [
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,symbol"
    ]
    for i in range(rows):
        ns = 1_735_689_600_000_000_000 + 1_234_567 * i
        at = f"2025-01-01T00:{i % 60:02d}:{i // 60 % 60:02d}.{i % 10**9:09d}Z" if pretty else str(ns)
        price = f"{4500 + i % 50}.250000000" if pretty else str((4500 + i % 50) * 10**9 + 250_000_000)
        lines.append(
            f"{at},{at},0,1,{i % 50},T,{'ABN'[i % 3]},0,{price},{i % 90 + 1},0,17214,{i},ESH{i % 50}"
        )
    return "\n".join(lines) + "\n"


def massive_trades(rows: int) -> str:
    """Trades in the massive profile."""
    header = (
        "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,"
        "tape,trf_id,trf_timestamp"
    )
    lines = [header]
    for i in range(rows):
        ns = 1_735_740_000_000_000_000 + 1_234_567 * i
        conditions, price = '"12,37"' if i % 3 else "12", f"{100 + i % 50}.{i % 100:02d}"
        lines.append(
            f"SYM{i * 100 // rows:03d},{conditions},0,{i % 20},{52_983_525_000_000 + i},{ns},{price},"
            f"{i},{ns + 34_745},{i % 500 + 1},1,0,0"
        )
    return "\n".join(lines) + "\n"


def massive_quotes(rows: int) -> str:
    """Quotes in the massive profile, every tenth with one side."""
    header = (
        "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,"
        "participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp"
    )
    lines = [header]
    for i in range(rows):
        ns = 1_735_740_000_000_000_000 + 1_234_567 * i
        size = 0 if i % 10 == 0 else i % 50 + 1
        lines.append(
            f'SYM{i * 100 // rows:03d},8,{101 + i % 50}.{i % 100:02d},{size},11,{100 + i % 50}.{i % 100:02d},3,"1,81",,'
            f"{ns},{i},{ns + 34_745},1,0"
        )
    return "\n".join(lines) + "\n"


def with_rejects(text: str) -> str:
    """Every hundredth row with a price that is none."""
    return "".join(
        line.replace(".", ".x", 2) if i % 100 == 50 else line
        for i, line in enumerate(text.splitlines(keepends=True))
    )


def context(exchange: exchanges.Exchange, symbol: str | None, mode: profiles.SequenceMode) -> reader.Context:
    """A load."""
    return reader.Context(exchange, "0" * 32, 1_400_000_000_000_000, symbol, mode, BLOCK_BYTES)


def best(what: str, rows: int, size: int, run: Callable[[], int]) -> None:
    """Print the best of some runs."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        read = run()
        seconds.append(time.process_time() - start)
    rate = rows / min(seconds)
    print(f"{what:28} {rows:>10,} {read:>10,} {rate:>12,.0f} {size / min(seconds) / 1e6:>8,.0f}")


def measure(
    what: str, text: str, rows: int, profile: str, folder: Path, data_type: DataType = DataType.TRADES
) -> None:
    """Read a text as a file."""
    path = folder / "file.csv"
    path.write_text(text, newline="")
    how = profiles.load(profile)
    symbol = {"asx": "DVN", "binance": "BTCUSDT", "binance-agg": "BTCUSDT"}.get(profile)
    kept = context(exchanges.load()[how.exchange or "generic"], symbol, how.shape(data_type).sequence)

    def run() -> int:
        return sum(block.rows.num_rows for block in reader.read(path, how, data_type, kept))

    best(what, rows, len(text), run)
    if kept.sequence == "assign":
        best("  read, count, read, assign", rows, len(text), lambda: numbered(path, how, kept))


def numbered(path: Path, how: profiles.Profile, kept: reader.Context) -> int:
    """Both passes of a load with `--sequence assign`; the rows numbered."""

    def dated() -> list[tuple[pa.Table, numbering.Int32s]]:
        blocks = reader.read(path, how, DataType.TRADES, kept)
        return [(b.rows, sessions.trading_dates(kept.exchange, times(b.rows))) for b in blocks]

    cursor: numbering.Cursor = numbering.reserve(numbering.count(dated()), {})
    rows = 0
    for table, dates in dated():
        out, cursor = numbering.assign(table, dates, cursor)
        rows += out.num_rows
    return rows


def times(rows: pa.Table) -> numbering.Int64s:
    """Event times of a block."""
    found: numbering.Int64s = rows["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
    return found


def memory(megabytes: int) -> None:
    """Read one large file and print what it took."""
    line = 60
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "large.csv"
        header, body = k2_trades(1_000_000 // line).split("\n", 1)
        with path.open("w") as file:
            file.write(f"{header}\n")
            while file.tell() < megabytes * 1_000_000:
                file.write(body)
        before, start = peak_mb(), time.perf_counter()
        kept = context(exchanges.load()["generic"], None, "source")
        rows = sum(b.rows.num_rows for b in reader.read(path, profiles.load("k2"), DataType.TRADES, kept))
        took, size = time.perf_counter() - start, path.stat().st_size
    print(f"{size / 1e6:,.0f} MB, {rows:,} rows in {took:.1f} s: {rows / took:,.0f} rows/s")
    print(f"peak {peak_mb():,.0f} MB, {before:,.0f} MB of it before")


def peak_mb() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["--memory"]:
        memory(int(sys.argv[2]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    pa.set_cpu_count(1)
    print(f"{'file':28} {'rows':>10} {'read':>10} {'rows/s':>12} {'MB/s':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure("k2 trades", k2_trades(rows), rows, "k2", folder)
        measure("k2 trades, symbols quoted", k2_trades(rows, '"'), rows, "k2", folder)
        measure("k2 trades, 1% rejects", with_rejects(k2_trades(rows)), rows, "k2", folder)
        measure("asx trades", asx_trades(rows), rows, "asx", folder)
        measure("binance trades", binance_trades(rows), rows, "binance", folder)
        measure("binance-agg trades", binance_agg_trades(rows), rows, "binance-agg", folder)
        measure("databento trades", databento_trades(rows, pretty=False), rows, "databento", folder)
        measure("databento trades, pretty", databento_trades(rows, pretty=True), rows, "databento", folder)
        measure("massive trades", massive_trades(rows), rows, "massive", folder)
        measure("massive quotes", massive_quotes(rows), rows, "massive", folder, DataType.QUOTES)


if __name__ == "__main__":
    main()
