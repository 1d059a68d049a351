"""Write a large file, read it in a process of its own, and print its highest memory in bytes.

`python memory_process.py FOLDER BYTES`
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from k2app.load import profiles
from k2app.load.reader import Context, read
from k2app.market import exchanges
from k2app.market.topics import DataType
from k2app.settings import LoadSettings

PIECE_ROWS = 20_000


def write(path, size_bytes):
    """Trades in K2's own format; the same piece again and again."""
    piece = "".join(
        f"SYM{i % 100},2014-03-10T00:{i % 60:02d}:00.{i % 1000:03d}Z,{i % 90}.25,{i},BUY,T{i},XT;1,{i}\n"
        for i in range(PIECE_ROWS)
    )
    with path.open("w") as file:
        file.write("symbol,timestamp,price,quantity,side,trade_id,conditions,sequence\n")
        written = 0
        while written < size_bytes:
            written += file.write(piece)


def highest_bytes():
    """Highest resident memory. On Linux ru_maxrss counts what the process was forked from, VmHWM does not."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def main():
    path, size_bytes = Path(sys.argv[1]) / "large.csv", int(sys.argv[2])
    write(path, size_bytes)
    context = Context(exchanges.load()["generic"], "0" * 32, 0, None, "source", LoadSettings().block_bytes)
    rows = sum(block.rows.num_rows for block in read(path, profiles.load("k2"), DataType.TRADES, context))
    sys.stdout.write(f"{rows} {highest_bytes()}\n")


main()
