"""Results on a terminal or in a pipe: rows on standard output, what must be said of them on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from k2app.cli.chart import candles
from k2app.cli.terminal import printable, say
from k2app.errors import OperatorError
from k2app.query.answers.column_text import plain_text
from k2app.query.answers.result import Result
from k2app.query.answers.stream import Stream
from k2app.query.times import micros_to_text

PIPED_WIDTH = 10_000
"""Columns of a table that goes into a file or pipe: cells are never cut there."""


CHART_HEIGHT = 20
"""Lines of a symbol's candles: two fit on most screens."""


class Output(StrEnum):
    """Form of a result."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


class PipedConsole(Console):
    """A console that says when its pipe was closed; Rich's own ends the process as after a fault."""

    def on_broken_pipe(self) -> None:
        """Hand the error on."""
        raise BrokenPipeError


def check_binary(output: Output) -> None:
    """Keep bytes from a terminal.

    Raises
    ------
    OperatorError
        Standard output is one, and the form is not text.
    """
    if output in (Output.ARROW, Output.PARQUET) and sys.stdout.isatty():
        raise OperatorError(f"{output} is no text; write it to a file: k2-query ... -o {output} > FILE")


def write(data: bytes | memoryview, *, at_once: bool = True) -> None:
    """Write bytes to standard output, unchanged; not at once: when there are enough of them."""
    sys.stdout.buffer.write(data)
    if at_once:
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
    console = PipedConsole(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)
    sys.stdout.flush()


def show_chart(bars: pa.Table) -> None:
    """Draw bars as candles, as wide as the terminal; in plain ASCII where its encoding knows no other signs."""
    console = PipedConsole(file=sys.stdout)
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    console.print(candles(bars, console.width, CHART_HEIGHT, unicode=unicode), soft_wrap=True)
    sys.stdout.flush()


def say_of(answer: Result | Stream, rows: int) -> None:
    """Print warnings, the snapshots, and how to get the next page, to standard error."""
    for warning in answer.warnings:
        say(f"warning: {warning.message}")
    snapshots = ", ".join(
        f"{table} {number}" for table, number in answer.snapshots.items() if number is not None
    )
    if answer.as_of_us is not None:
        counted = "1 row" if rows == 1 else f"{rows} rows"
        say(f"{counted} as of {micros_to_text(answer.as_of_us)} (snapshots: {snapshots})")
    if answer.next is not None:
        say(f"there are more; repeat with --cursor {answer.next}")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _chunks(column: pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks or [pa.array([], column.type)]
