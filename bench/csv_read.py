"""How fast files become Arrow rows: `python bench/csv_read.py [ROWS]`, one core, best of three.

Prints one line per profile and kind of file. `count` and `assign` are the two passes of numbering.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from k2app.load import numbering, profiles, reader
from k2app.market import exchanges, sessions
from k2app.market.topics import DataType

BLOCK_BYTES = 8 * 1024 * 1024
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


def measure(what: str, text: str, rows: int, profile: str, folder: Path) -> None:
    """Read a text as a file."""
    path = folder / "file.csv"
    path.write_text(text, newline="")
    known, how = exchanges.load(), profiles.load(profile)
    kept = context(known["generic"], None, "source")
    if profile == "asx":
        kept = context(known["asx"], "DVN", "assign")

    def run() -> int:
        return sum(block.rows.num_rows for block in reader.read(path, how, DataType.TRADES, kept))

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


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    pa.set_cpu_count(1)
    print(f"{'file':28} {'rows':>10} {'read':>10} {'rows/s':>12} {'MB/s':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure("k2 trades", k2_trades(rows), rows, "k2", folder)
        measure("k2 trades, symbols quoted", k2_trades(rows, '"'), rows, "k2", folder)
        measure("k2 trades, 1% rejects", with_rejects(k2_trades(rows)), rows, "k2", folder)
        measure("asx trades", asx_trades(rows), rows, "asx", folder)


if __name__ == "__main__":
    main()
