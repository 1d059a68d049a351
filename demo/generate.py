"""Make a market with known faults as CSV files, and a ledger of what must be found in them."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ledger
import venues
from files import Merged, merge
from streams import ASX_SHARE, Stream, asx_streams, binance_streams

LEAST_ROWS = 2_000
"""Fewest trades, and quotes, in which every injection has room."""

EXAMPLES = """\
what is written to OUT_DIR:
  reference-EXCHANGE.csv             one row per listing
  EXCHANGE-trades|quotes-DATE.csv    rows of all symbols as they arrive; profile k2
  ledger.json                        expected rejects, flags, gaps, bars and totals

examples:
  python demo/generate.py demo-out
  python demo/generate.py demo-out --seed 8
  python demo/generate.py demo-out/small --trades 2000 --quotes 4000

the same seed and sizes give the same bytes.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = arguments().parse_args(argv)
    book, texts = market(options.seed, options.trades, options.quotes)
    options.out_dir.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (options.out_dir / name).write_text(text, encoding="utf-8", newline="")
    (options.out_dir / "ledger.json").write_text(as_json(book), encoding="utf-8", newline="")
    print(summary(book, options.out_dir))
    return 0


def arguments() -> argparse.ArgumentParser:
    """Parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path, help="folder for the files; made if absent")
    parser.add_argument("--seed", type=seed_number, default=7, help="0 or more; default %(default)s")
    for name, rows in (("trades", 200_000), ("quotes", 400_000)):
        parser.add_argument(
            f"--{name}",
            type=row_count,
            default=rows,
            metavar="N",
            help=f"distinct well-formed {name}, at least {LEAST_ROWS}; default %(default)s",
        )
    return parser


def seed_number(text: str) -> int:
    """Parse a seed."""
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{text}: a seed is 0 or more")
    return seed


def row_count(text: str) -> int:
    """Parse a number of rows."""
    rows = int(text)
    if rows < LEAST_ROWS:
        raise argparse.ArgumentTypeError(f"{text}: at least {LEAST_ROWS} rows are needed to hold every fault")
    return rows


def market(seed: int, trades: int, quotes: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the whole market.

    Parameters
    ----------
    trades, quotes
        Distinct well-formed rows of each type, over both exchanges.

    Returns
    -------
    tuple
        The ledger, and the text of every file by name, in load order.
    """
    parts: dict[tuple[str, str], tuple[list[Stream], Merged]] = {}
    for data_type, rows in (("trades", trades), ("quotes", quotes)):
        shares = rows * ASX_SHARE[0] // ASX_SHARE[1]
        asx = list(asx_streams(seed, data_type, shares))
        parts["asx", data_type] = asx, merge(asx, venues.ASX_DAYS)
        coins = list(binance_streams(seed, data_type, rows - shares))
        parts["binance", data_type] = coins, merge(coins, venues.BINANCE_DAYS)
    book = {"seed": seed, "trades": trades, "quotes": quotes, **ledger.head(), "load_order": [], "files": {}}
    texts: dict[str, str] = {}
    for exchange in ("asx", "binance"):
        _add_files(book, texts, exchange, parts)
    return _add_truth(book, parts), texts


def _add_files(
    book: dict[str, Any],
    texts: dict[str, str],
    exchange: str,
    parts: dict[tuple[str, str], tuple[list[Stream], Merged]],
) -> None:
    """Add an exchange's files: reference data, then day by day trades and quotes."""
    reference = venues.asx_reference() if exchange == "asx" else venues.binance_reference()
    name = f"reference-{exchange}.csv"
    texts[name] = reference_text(reference)
    book["files"][name] = ledger.reference_entry(exchange, len(reference))
    days = zip(parts[exchange, "trades"][1].files, parts[exchange, "quotes"][1].files, strict=True)
    for file in (file for pair in days for file in pair):
        texts[file.name] = file.text()
        book["files"][file.name] = ledger.file_entry(file)
    book["load_order"] = list(texts)


def _add_truth(
    book: dict[str, Any], parts: dict[tuple[str, str], tuple[list[Stream], Merged]]
) -> dict[str, Any]:
    """Add what spans files: totals per market, gaps, bars of the ASX days."""
    book["markets"] = {exchange: {} for exchange, _ in parts}
    for (exchange, data_type), (streams, merged) in parts.items():
        book["markets"][exchange][data_type] = ledger.market_entry(streams, merged.files)
    book["gaps"] = [
        entry for streams, merged in parts.values() for entry in ledger.gap_entries(streams, merged)
    ]
    book["asx_days"] = [ledger.day_entry(stream) for stream in parts["asx", "trades"][0]]
    markets = [entry for by_type in book["markets"].values() for entry in by_type.values()]
    book["totals"] = {key: sum(m[key] for m in markets) for key in ("rows", "rejected", "good", "visible")}
    book["totals"]["open_gaps"] = sum(len(entry["open"]) for entry in book["gaps"])
    return book


def reference_text(rows: Sequence[tuple[str, ...]]) -> str:
    """CSV of reference data; names with a comma are quoted."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([venues.REFERENCE_HEADER, *rows])
    return out.getvalue()


def as_json(book: dict[str, Any]) -> str:
    """Write the ledger as text: the same book gives the same bytes."""
    return json.dumps(book, indent=1) + "\n"


def summary(book: dict[str, Any], out_dir: Path) -> str:
    """Three lines for whoever ran the command."""
    totals = book["totals"]
    return (
        f"{out_dir}: {len(book['load_order'])} files, {totals['rows']:,} trades and quotes\n"
        f"expected: {totals['good']:,} good, {totals['rejected']:,} rejected, {totals['visible']:,} visible\n"
        f"expected: {totals['open_gaps']:,} open gaps; the rest is in ledger.json"
    )


if __name__ == "__main__":
    raise SystemExit(main())
