"""Results on a terminal or in a pipe: rows on standard output, what must be said of them on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from k2app.query.result import Result
from k2app.query.result_text import plain_text, to_csv, to_json
from k2app.query.times import micros_to_text

PIPED_WIDTH = 10_000
"""Columns of a table that goes into a file or pipe: cells are never cut there."""


class Output(StrEnum):
    """Form of a result."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def show(result: Result, output: Output, columns: Sequence[str], *, numbers: bool) -> None:
    """Print a result.

    Parameters
    ----------
    columns
        Of a table; JSON and CSV have all of them.
    numbers
        Decimals as JSON numbers; tables and CSV write them the same way in any case.
    """
    if output is Output.JSON:
        # It names snapshots, warnings and the next page itself.
        write(to_json(result, numbers=numbers) + b"\n")
        return
    if output is Output.CSV:
        write(to_csv(result))
    else:
        show_table(result.rows, columns)
    say_of(result)


def write(data: bytes) -> None:
    """Write bytes to standard output, unchanged."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def show_table(rows: pa.Table, columns: Sequence[str]) -> None:
    """Print chosen columns; numbers to the right, null as nothing."""
    shown = [name for name in columns if name in rows.column_names] or rows.column_names
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in shown:
        table.add_column(name, justify="right" if _is_number(rows.schema.field(name).type) else "left")
    texts = [plain_text(pa.concat_arrays(_chunks(rows[name]))).to_pylist() for name in shown]
    for cells in zip(*texts, strict=True):
        table.add_row(*(Text(printable(cell or "")) for cell in cells))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)
    sys.stdout.flush()


def say_of(result: Result) -> None:
    """Print warnings, the snapshots, and how to get the next page, to standard error."""
    for warning in result.warnings:
        say(f"warning: {warning.message}")
    snapshots = ", ".join(
        f"{table} {number}" for table, number in result.snapshots.items() if number is not None
    )
    if result.as_of_us is not None:
        say(f"{result.rows.num_rows} rows as of {micros_to_text(result.as_of_us)} (snapshots: {snapshots})")
    if result.next is not None:
        say(f"there are more; repeat with --cursor {result.next}")


def say(message: str) -> None:
    """Print one line to standard error."""
    sys.stderr.write(f"{printable(message)}\n")


def leave_pipe() -> None:
    """Forget what standard output still holds, after its reader went away."""
    # Python flushes standard output once more when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """Text without characters that steer a terminal; data may hold any."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _chunks(column: pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks or [pa.array([], column.type)]
