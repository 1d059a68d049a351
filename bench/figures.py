"""Figures of a benchmark: asked for on the command line, printed as a table, kept as JSON in bench-out/."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from homes import LOGS, missing
from rich.console import Console
from rich.table import Table

OUT = Path("bench-out")

WIDTH = 150
"""Columns of the table where the output is no terminal."""

SHORTEST_S = 0.5
"""Shortest time that a rate is taken of: a start varies by tenths of a second."""

Figures = dict[str, Any]


def main(name: str, about: str | None, rows: int, measure: Callable[[str, int, int], Figures]) -> None:
    """Measure every log with every number of symbols, print, and write `bench-out/NAME.json`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--symbols", type=int, nargs="+", default=[100, 5_000])
    parser.add_argument("--log", choices=LOGS, nargs="+", default=list(LOGS))
    options = parser.parse_args()
    report(name, list(_measured(options, measure)))


def report(name: str, found: list[Figures]) -> None:
    """Print figures as a table, and write `bench-out/NAME.json`."""
    Console(width=None if Console().is_terminal else WIDTH).print(_table(name, found))
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")


def rate(rows: int, seconds: float) -> int | None:
    """Rows per second; None where the time is too short to tell."""
    return round(rows / seconds) if seconds > SHORTEST_S else None


def _measured(options: argparse.Namespace, measure: Callable[[str, int, int], Figures]) -> Iterator[Figures]:
    for log in options.log:
        why = missing(log)
        if why is not None:
            yield {"log": log, "missing": why}
            continue
        for symbols in options.symbols:
            yield {"log": log} | measure(log, options.rows, symbols)


def _table(name: str, found: list[Figures]) -> Table:
    names = list(dict.fromkeys(column for figures in found for column in figures))
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column in names:
        justify: Literal["left", "right"] = "left" if column in {"log", "sink", "missing"} else "right"
        table.add_column(column.replace("_", " "), justify=justify, overflow="fold")
    for figures in found:
        table.add_row(*(_text(figures.get(column)) for column in names))
    return table


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
