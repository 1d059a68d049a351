"""A market in CSV files, loaded and drained in two parts by K2 itself, and a server that runs all the while."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cached_property
from itertools import groupby
from pathlib import Path

from k2app.settings import read_settings
from tests.pipeline.homes import Home
from tests.pipeline.operate.commands import k2, k2_json
from tests.processes import WITHIN_S

GENERATE = Path(__file__).parents[2] / "demo" / "generate.py"

SIZES = ("--trades", "2000", "--quotes", "3000", "--seed", "5")

FROM_SECOND_PART = "2026-04-07"
"""First day of the files that come later: two of three days of the exchange, one of seven of the continuous one."""

FLUSH_ROWS = "700"
"""Rows of a commit: a table has several snapshots, and files that overlap in time."""

ODD_FILES = {
    "asx-trades-2026-04-02-odd.csv": """\
symbol,timestamp,price,quantity,side,trade_id,conditions,sequence
ODD,2026-04-01T23:00:00.000000Z,2.5,10,BUY,a,,1
ODD,2026-04-01T23:00:00.000000Z,2.75,10.0,SELL,b,,2
ODD,2026-04-01T23:00:00.000000Z,9999999999.99999999,9999999999.99999999,SELL,c,10,3
ODD,2026-04-01T23:00:00.000000Z,2.25,0.00000001,BUY,a2,,1
ODD,2026-04-01T23:00:00.000000Z,2.25,0.00000001,BUY,a2,,1
ODD,2026-04-01T23:00:00.000000Z,-0.00000001,3,UNKNOWN,,,
ODD,2026-04-01T23:00:00.000000Z,-0.00000001,3,UNKNOWN,,,
ODD,2026-04-01T22:59:59.999999Z,7,0,,,25;26,4
ODD,2026-04-01T23:00:00.000001Z,8,5,BUY,,3;10,8
ODD,2026-04-02T12:59:59.999999Z,3,2,BUY,last,,6
ODD,2026-04-02T13:00:00.000000Z,4,2,BUY,first,,1
ODD,2026-04-04T13:00:00.000000Z,4.5,1,BUY,,,1
ODD,2026-04-04T15:59:59.999999Z,4.25,2,BUY,,,2
ODD,2026-04-04T16:00:00.000000Z,4.125,4,BUY,,,3
ODD,2026-04-05T13:59:59.999999Z,4,8,BUY,,,4
ODD,2026-04-05T14:00:00.000000Z,3.875,16,BUY,,,1
"Q ""x"", ünïcode",2026-04-01T23:30:00.000000Z,1.0,0,BUY,,,1
"Q ""x"", ünïcode",2026-04-01T23:31:00.000000Z,1.10,3,BUY,"id,1",9,2
"Q ""x"", ünïcode",2026-04-08T00:00:00.000000Z,1.2,0,BUY,,1,1
""",
    "asx-quotes-2026-04-02-odd.csv": """\
symbol,timestamp,bid_price,bid_quantity,ask_price,ask_quantity,conditions,sequence
ODD,2026-04-01T23:00:00.000000Z,2.5,10,2.25,4,,1
ODD,2026-04-01T23:00:00.000000Z,9999999999.99999999,1,-9999999999.99999999,1,,2
ODD,2026-04-01T23:00:00.000000Z,2.125,1,2.13,1,10,3
ODD,2026-04-01T23:00:00.000000Z,2.625,1,2.13,1,10,3
ODD,2026-04-01T23:00:00.000001Z,,,2.5,1,,5
ODD,2026-04-02T13:00:00.000000Z,3.5,7,,,,
"Q ""x"", ünïcode",2026-04-01T23:30:00.000000Z,1,1,2,1,,1
""",
}
"""Ties without and with numbers, the largest decimals, contradictions, prices below nothing, no volume, both nights."""


def write_market(folder: Path) -> list[str]:
    """Write the CSV files; returns their names in load order."""
    subprocess.run(
        [sys.executable, GENERATE, folder, *SIZES], check=True, stdout=subprocess.DEVNULL, timeout=WITHIN_S
    )
    for name, text in ODD_FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return sorted([*json.loads((folder / "ledger.json").read_text())["load_order"], *ODD_FILES], key=_kind)


def _kind(name: str) -> tuple[bool, str]:
    """Reference data first; within exchange and data type by day."""
    return not name.startswith("reference-"), name


def is_first_part(name: str) -> bool:
    """Whether a file is loaded first."""
    return name.startswith("reference-") or name.split("-", 2)[2] < FROM_SECOND_PART


class MarketHome(Home):
    """A home with both exchanges of the market."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, K2_EXCHANGES="asx,binance")

    @cached_property
    def settings(self):
        """As of `Home`, with both exchanges."""
        return read_settings(
            home=self.path, exchanges="asx,binance", exchanges_file=self.path / "exchanges.toml"
        )

    def load(self, names: list[str], folder: Path) -> None:
        """`k2 load` of the files, then a worker's drain."""
        for (exchange, data_type), files in groupby(names, key=_stream):
            paths = [str(folder / name) for name in files]
            k2(self, "load", *paths, "--exchange", exchange, "--type", data_type)
        self.drain(K2_LOGS_LEVEL="warning", K2_FLUSH_MAX_ROWS=FLUSH_ROWS)

    def files_by_load(self) -> dict[str, str]:
        """Name of the file of each load."""
        return {row["load_id"]: Path(row["file"]).name for row in k2_json(self, "loads")}


def _stream(name: str) -> tuple[str, str]:
    first, second = name.removesuffix(".csv").split("-")[:2]
    return (second, "reference_data") if first == "reference" else (first, second)
