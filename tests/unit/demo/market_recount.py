"""Running the generator, and reading what it wrote with the oracle."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import market_oracle as oracle

GENERATE = Path(__file__).parents[3] / "demo" / "generate.py"


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the generator as a person does."""
    return subprocess.run(
        [sys.executable, GENERATE, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@dataclass
class Market:
    """A generated market, its ledger, and what the oracle finds in the files."""

    folder: Path
    ledger: dict[str, Any]
    rejects: dict[str, list[tuple[int, str | None]]]
    flags: dict[str, dict[str, list[int]]]
    states: dict[tuple[str, str], dict[tuple[str, str | None], oracle.State]]
    stored: list[tuple[str, str, str, int, oracle.Row]]
    """Good rows in load order: exchange, data type, flag, epoch, row."""


def recount(folder: Path) -> Market:
    """Read every file in load order with the oracle."""
    ledger = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))
    market = Market(folder, ledger, {}, {}, {}, [])
    for name in ledger["load_order"]:
        if not name.startswith("reference"):
            recount_file(market, name)
    return market


def recount_file(market: Market, name: str) -> None:
    """Add one file's rejects, flags and rows to what the oracle found."""
    exchange, data_type = name.split("-")[:2]
    states = market.states.setdefault((exchange, data_type), {})
    check = oracle.increasing if (exchange, data_type) == ("binance", "quotes") else oracle.contiguous
    rejects = market.rejects.setdefault(name, [])
    flags = market.flags.setdefault(name, {})
    for line, row, at_fault in oracle.rows(market.folder / name):
        if row is None or at_fault is not None:
            rejects.append((line, at_fault))
            continue
        flag = check(states, exchange, row)
        flags.setdefault(flag, []).append(line)
        epoch = states[row["symbol"], oracle.scope_of(exchange, row)].epoch
        market.stored.append((exchange, data_type, flag, epoch, row))
