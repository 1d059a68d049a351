"""Writes docs/data-dictionary.md from the schemas and the tables: python docs/data_dictionary.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from page_text import WRITTEN, code, table
from pyiceberg.types import IcebergType, ListType, NestedField, StructType

import schemas
from k2app.lake.catalog import TABLE_PROPERTIES
from k2app.lake.column_docs import column_doc
from k2app.lake.ledger import RETRACTS
from k2app.lake.lineage import COMMIT_ID, COUNT, FLOOR, HOLE, ORIGIN, RANGE, ROWS
from k2app.lake.tables import FORMAT_PROPERTY, SPECS, Name, TableSpec
from k2app.lake.tag_records import PREFIX as TAG
from k2app.load.ledger import STATES
from k2app.market.sequence_events import EVENTS
from k2app.market.sequence_flags import FLAGS
from k2app.topology import RULE_PROPERTY

PAGE = Path(__file__).with_name("data-dictionary.md")

RECORDS = {Name.TRADES: "trade", Name.QUOTES: "quote", Name.REFERENCE_DATA: "reference_data"}
"""Avro record by the table that it fills."""

ABOUT = {
    Name.GAPS: "What happened to missing numbers: one row per event, in the order in which records showed it.",
    Name.DEAD_LETTERS: "Messages that could not be read, whole, with the reason; `k2 redrive` sends them again.",
    Name.LOADS: "The ledger of loads and redrives: one row per change of state; the newest row of a load counts.",
}
"""What a table holds that no topic feeds."""

UNITS = {
    "price": "`currency` per unit",
    "bid_price": "`currency` per unit",
    "ask_price": "`currency` per unit",
    "quantity": "units: shares, contracts, coins",
    "bid_quantity": "units: shares, contracts, coins",
    "ask_quantity": "units: shares, contracts, coins",
    "currency": "ISO 4217, or the venue's code",
    "file_bytes": "bytes",
    "rows": "rows",
    "rejects": "rows",
    "missing": "numbers",
    "source_line": "lines, from 1",
    "offset": "records, from 0",
    "epoch": "resets, from 0",
}
"""Unit by column; that of times and dates follows from their type."""

TIME_UNITS = {"timestamptz": "µs, UTC", "date": "day"}
"""Unit by Iceberg type."""

FLAG_MEANINGS = {
    "ok": "One more than the highest number (rule `contiguous`), or higher than it (`increasing`).",
    "first": "The first record of its symbol and scope.",
    "gap": "Numbers between it and the highest before it are missing; a gap was opened.",
    "late": "Its number was missing: it fills a gap, or lies before the first one seen.",
    "duplicate": "A copy: number and content of a record that came before. Hidden by default, as no other flag is.",
    "reset": "Less than half the highest number, and an hour or more after it (continuous scopes): the source "
    "counts anew. Epoch + 1; open gaps are abandoned.",
    "regressed": "A lower number with a later event time, and not a reset (yet); rule `increasing`: any lower number.",
    "uncertain": "Its number lies between two gaps that were merged: whether it came before is not known.",
    "unsequenced": "It has no number, or the rule is `none`.",
    "conflict": "The number came before, with other content.",
}
"""Meaning by `sequence_flag`."""

EVENT_MEANINGS = {
    "opened": "`from_sequence` to `to_sequence` are missing.",
    "filled": "One missing number came.",
    "abandoned": "A reset came while they were missing.",
    "merged": "Too many gaps of a symbol (`K2_STATE_MAX_OPEN_GAPS`): the numbers between two became uncertain.",
}
"""Meaning by `event` of the table gaps."""

STATE_MEANINGS = {
    "reserved": "Its numbers are its own; rows are being sent, or the load died: loading the file again resumes it.",
    "sent": "Every row is on the log.",
    "failed": "The file could not be read to its end; `reason` says why.",
    "retracted": "Withdrawn for good: queries leave its rows out.",
}
"""Meaning by `state` of the table loads."""

PROPERTY_MEANINGS = {
    FORMAT_PROPERTY: "Format of the table; a program of another one refuses it.",
    "commit.retry.num-retries": "pyiceberg repeats no commit by itself: it would do so with a stale floor.",
    "write.parquet.compression-codec": "Compression of data files.",
    "write.metadata.delete-after-commit.enabled": "Metadata files beyond the number below are deleted.",
    "write.metadata.previous-versions-max": "Metadata files that are kept.",
}
"""Meaning by property that every table is made with."""

NESTED_PLACE = "{log id: {topic: {partition: ...}}}"
"""Form of what a key says of partitions."""

MAIN = "trades, quotes, reference_data"

FED = f"{MAIN}, gaps, dead_letters"

SUMMARY = {
    FLOOR: (
        FED,
        (
            f"`{NESTED_PLACE}` with `[next offset, [timestamp_us, crc]]`: first offset that the table does not have, "
            "and the fingerprint of the record before it (null: none). Cumulative."
        ),
    ),
    ORIGIN: (MAIN, f"`{NESTED_PLACE}` with the offset that the first floor started at. Cumulative."),
    HOLE: (
        MAIN,
        (
            f"`{NESTED_PLACE}` with `[[from, to], ...]`: offsets given up on purpose (`K2_ON_HOLE=continue`). "
            "Cumulative; absent if there are none."
        ),
    ),
    RANGE: (
        FED,
        (
            f"`{NESTED_PLACE}` with `[start, end, skipped]`: offsets of this commit, `[start, end)`, and how many of "
            "them the log itself skipped; a fourth member is the floor that a hole began at."
        ),
    ),
    COMMIT_ID: ("all", "Id of the flush (in `loads`: of the entry), given before the first attempt."),
    ROWS: ("all", "Rows that the commit added."),
    f"{COUNT}FLAG": ("trades, quotes", "Rows that it added, by `sequence_flag`."),
    RETRACTS: ("loads", "Ids of the loads that it withdraws, comma-separated."),
}
"""Tables and meaning by key of a snapshot's summary."""

LATER = (
    (
        code(f"{RULE_PROPERTY}EXCHANGE"),
        "",
        "trades, quotes",
        "Sequence rule that rows are checked by: pinned.",
    ),
    (code(FLOOR), "", FED, "As in the newest snapshot; counts only if no snapshot has one."),
    (f"{code(ORIGIN)}, {code(HOLE)}", "", MAIN, "The same."),
    (
        code(f"{TAG}NAME"),
        "",
        "loads",
        "A tag's record: the snapshots that it means, its state, when it was made.",
    ),
    (code(RETRACTS), "", "loads", "Loads that were withdrawn last."),
)
"""Properties that come with data: name, value at first, tables, meaning."""

TILES = """## Snapshot summary

Beside Iceberg's own keys. Origin, ranges and floor of each partition tile: that proves, from metadata alone, that
nothing is missing and nothing is there twice (`k2app.lake.audit.completeness`).

"""

HEAD = f"""# Data dictionary

{WRITTEN}

The lake's tables, in the Iceberg namespace `market_data` (`K2_LAKE_NAMESPACE`): {{names}}.
Any Iceberg reader may read them. Columns have the same name in Avro, Arrow, Iceberg, SQL and JSON. *Nullable* says what
may be missing; what is missing is null, never 0 or an empty text.

Times are `timestamptz`: microseconds, UTC. Prices and quantities are decimals with 8 places; a number with more digits
is refused, never rounded. *From* is the type of the Avro field of the same name; columns without one are K2's own. How
a table gets new columns: [schema-evolution.md](schema-evolution.md). How rows get here:
[architecture.md](architecture.md).

Who reads without K2 leaves out what K2's queries leave out: rows with `sequence_flag = 'duplicate'`, and rows whose
`load_id` is retracted in `loads`.

"""


def page() -> str:
    """The page."""
    names = ", ".join(f"[{name}](#{name})" for name in SPECS)
    return (
        HEAD.replace("{names}", names)
        + "".join(map(_table, SPECS.values()))
        + _meanings("Sequence flags", "`sequence_flag` of trades and quotes.", "flag", FLAGS, FLAG_MEANINGS)
        + _meanings("Gap events", "`event` of gaps.", "event", EVENTS, EVENT_MEANINGS)
        + _meanings("States of a load", "`state` of loads.", "state", STATES, STATE_MEANINGS)
        + _properties()
        + _summary()
    ).rstrip() + "\n"


def _table(spec: TableSpec) -> str:
    fields = _avro_fields(spec.name)
    rows = [
        (
            code(path),
            code(_type_text(field.field_type)),
            code(fields[path]) if path in fields else "",
            "" if field.required else "yes",
            UNITS.get(path) or TIME_UNITS.get(str(field.field_type), ""),
            field.doc or column_doc(spec.name, path) or "",
        )
        for path, field in _columns(spec.schema.fields)
    ]
    head = ("column", "Iceberg type", "from", "nullable", "unit", "meaning")
    return f"## {spec.name}\n\n{_about(spec)}\n\n" + table(head, rows)


def _columns(fields: tuple[NestedField, ...], above: str = "") -> Iterator[tuple[str, NestedField]]:
    """Columns and what is nested in them, by path."""
    for field in fields:
        path = f"{above}{field.name}"
        yield path, field
        kind = field.field_type
        if isinstance(kind, ListType) and isinstance(kind.element_type, StructType):
            yield from _columns(kind.element_type.fields, f"{path}.")


def _type_text(kind: IcebergType) -> str:
    if isinstance(kind, ListType):
        inner = "struct" if isinstance(kind.element_type, StructType) else kind.element_type
        return f"list<{inner}>"
    return str(kind)


def _about(spec: TableSpec) -> str:
    record = RECORDS.get(spec.name)
    about = ABOUT[spec.name] if record is None else schemas.newest(record)["doc"]
    fed = (
        ""
        if record is None
        else f" Avro record `{schemas.newest(record)['name']}`, topics "
        f"`market.{{asset class}}.{spec.name}.{{exchange}}`."
    )
    days = [f"`{spec.schema.find_column_name(f.source_id)}`" for f in spec.partition.fields]
    parts = f"Partitioned by day of {days[0]}" if days else "Not partitioned"
    return f"{about}{fed} {parts}; files are sorted by {', '.join(f'`{c}`' for c in spec.sort_columns)}."


def _avro_fields(name: Name) -> dict[str, str]:
    """Avro type by field, of every version's fields."""
    record = RECORDS.get(name)
    if record is None:
        return {}
    return {
        field["name"]: _avro_text(field["type"])
        for schema in schemas.versions(record).values()
        for field in schema["fields"]
    }


def _avro_text(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list):
        return " or ".join(map(_avro_text, kind))
    if kind["type"] == "enum":
        return f"enum {', '.join(kind['symbols'])}"
    if kind["type"] in {"array", "map"}:
        return f"{kind['type']} of {_avro_text(kind['items' if kind['type'] == 'array' else 'values'])}"
    logical = kind.get("logicalType")
    if logical == "decimal":
        return f"{kind['type']} decimal({kind['precision']}, {kind['scale']})"
    return f"{kind['type']} {logical}" if logical else _avro_text(kind["type"])


def _meanings(title: str, about: str, head: str, values: tuple[str, ...], meanings: Mapping[str, str]) -> str:
    rows = [(code(value), meanings[value]) for value in values]
    return f"## {title}\n\n{about}\n\n" + table((head, "meaning"), rows)


def _properties() -> str:
    rows = [
        (code(name), code(value), "all", PROPERTY_MEANINGS[name]) for name, value in TABLE_PROPERTIES.items()
    ]
    return "## Table properties\n\n" + table(("property", "at first", "tables", "meaning"), [*rows, *LATER])


def _summary() -> str:
    rows = [(code(key), tables, meaning) for key, (tables, meaning) in SUMMARY.items()]
    return TILES + table(("key", "tables", "meaning"), rows)


if __name__ == "__main__":
    PAGE.write_text(page())
