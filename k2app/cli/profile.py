"""`k2 profile`: which profiles there are, and how a file would be read with one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import typer

from k2app import topology
from k2app.cli.output import show_table
from k2app.cli.terminal import printable
from k2app.errors import OperatorError
from k2app.load import profiles, symbols
from k2app.load.columns import Columns
from k2app.load.preview import Preview, preview
from k2app.load.profiles import Profile, SequenceMode
from k2app.load.reader import Context, Reject, read
from k2app.market.exchanges import Exchange
from k2app.market.topics import DataType
from k2app.settings import Settings

NO_LOAD: Final = ""
"""Load id of rows that are only shown."""

LOAD_COLUMNS: Final = ("ingested_at", "load_id", "attributes")
"""Columns that are the load's, or shown on their own."""

RAW_CHARACTERS: Final = 120
"""Of a rejected row: enough to find it."""


@dataclass(frozen=True)
class Options:
    """Options of `k2 profile check`, as given."""

    file: Path
    profile: str
    data_type: DataType
    rows: int
    exchange: str | None
    symbol: str | None
    reference: Path | None
    sequence: SequenceMode | None


def list_profiles() -> None:
    """Print a line for each profile that ships."""
    for name in profiles.names():
        profile = profiles.load(name)
        typer.echo(f"{name:12} {', '.join(profile.data_types)}: {profile.about}")


def check(settings: Settings, options: Options) -> bool:
    """Show how the first rows of a file would be read; whether all of them could be.

    Raises
    ------
    OperatorError
        One sentence says why the file cannot be read with the profile at all.
    """
    profile = profiles.load(options.profile)
    shape = profile.shape(options.data_type)
    exchange = _exchange(settings, profile, options)
    symbol = _symbol(settings, profile, exchange, options)
    sequence = shape.sequence_mode(options.sequence)
    context = Context(exchange, NO_LOAD, 0, symbol, sequence, settings.load.block_bytes)
    found = preview(options.file, profile, options.data_type, context, options.rows)
    _say(f"{options.file}: {options.data_type} of {exchange.name}, profile {profile.name}")
    for line in (
        *_told(found.columns),
        _symbol_told(found.columns, symbol),
        _sequence_told(found, context, options),
    ):
        _say(f"  {line}")
    _show_rows(found.rows)
    _show_rest(found)
    return not found.rejects


def _exchange(settings: Settings, profile: Profile, options: Options) -> Exchange:
    name = options.exchange or profile.exchange
    if name is None:
        raise OperatorError(
            f"profile {profile.name} does not say whose files these are: give --exchange NAME"
        )
    return topology.topics(settings).topic(name, options.data_type)[1]


def _symbol(settings: Settings, profile: Profile, exchange: Exchange, options: Options) -> str | None:
    if options.data_type is DataType.REFERENCE_DATA:
        return None
    known = None
    if options.reference is not None:
        context = Context(exchange, NO_LOAD, 0, None, "none", settings.load.block_bytes)
        blocks = read(options.reference, profile, DataType.REFERENCE_DATA, context)
        known = symbols.reference(options.reference, blocks)
    return symbols.resolve(options.file, profile.shape(options.data_type), options.symbol, known)


def _told(columns: Columns) -> Iterator[str]:
    found = "line 1" if columns.header else "none; the profile names the columns"
    yield f"header: {found}"
    for name, cell in columns.fields.items():
        yield f"{name}: {' + '.join(map(repr, cell.column))}"
    attributes = [
        name if name == column else f"{name} ({column!r})" for name, column in columns.attributes.items()
    ]
    attributes += [] if columns.json_attributes is None else [f"those in {columns.json_attributes!r}"]
    yield f"attributes: {', '.join(attributes) or 'none'}"
    unread = [name for name in columns.names if name not in columns.needed]
    yield f"columns left out: {', '.join(unread) or 'none'}"


def _symbol_told(columns: Columns, symbol: str | None) -> str:
    return f"symbol of all rows: {symbol}" if "symbol" not in columns.fields else "symbol of each row its own"


def _sequence_told(found: Preview, context: Context, options: Options) -> str:
    if options.data_type is DataType.REFERENCE_DATA:
        return "sequence numbers: none, reference data has no such thing"
    rule = getattr(context.exchange.sequences, options.data_type.value)
    expected = f"{context.exchange.name} expects them {rule.kind}, {rule.scope}"
    if context.sequence == "assign":
        return f"sequence numbers: given by the loader, per symbol and trading date; {expected}"
    if context.sequence == "none" or "sequence" not in found.columns.fields:
        return "sequence numbers: none; copies cannot be told, and a file is loaded twice with --again only"
    return f"sequence numbers: the file's own; {expected}"


def _show_rows(rows: Any) -> None:
    """Print the rows; columns that say nothing are left out."""
    if not rows.num_rows:
        return
    shown = [
        "source_line",
        *(name for name in rows.column_names if name not in (*LOAD_COLUMNS, "source_line")),
    ]
    shown = [name for name in (*shown, "attributes") if _says_something(rows[name])]
    plain = {name: _undictionaried(rows[name]) for name in shown}
    typer.echo()
    show_table(pa.table(plain).rename_columns({"source_line": "line"}), ["line", *shown[1:]])


def _says_something(column: Any) -> bool:
    return any(value not in (None, []) for value in column.to_pylist())


def _undictionaried(column: Any) -> Any:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _show_rest(found: Preview) -> None:
    typer.echo()
    for reject in found.rejects:
        _say(_reject_told(reject))
    for column, near in found.near_misses.items():
        _say(f"column {column!r}: did you mean {near!r}? The profile does not name it")
    _say(f"{found.rows.num_rows} rows read, {len(found.rejects)} rejected; nothing was loaded")


def _reject_told(reject: Reject) -> str:
    raw = reject.raw.decode(errors="replace")
    raw = raw if len(raw) <= RAW_CHARACTERS else f"{raw[:RAW_CHARACTERS]}..."
    where = "" if reject.field is None else f"{reject.field} "
    return f"line {reject.line} rejected: {where}{reject.reason}; it reads {raw}"


def _say(text: str) -> None:
    typer.echo(printable(text))
