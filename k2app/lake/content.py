"""What a record says, as opposed to when, whence and how it was taken in."""

from __future__ import annotations

from typing import Final

from k2app.lake.tables import SPECS, Name

NOT_CONTENT: Final = frozenset(
    {"ingested_at", "load_id", "source_line", "sequence_flag", "epoch", "trading_date"}
    | {"log_id", "topic", "partition", "offset", "committed_at", "commit_id"}
)
"""Columns that say when, whence and how a record was taken in; the others are what it says."""


def content_columns(name: Name) -> list[str]:
    """Columns that make up a row's content: two rows that agree in them are copies of one record."""
    return [column for column in SPECS[name].arrow_schema.names if column not in NOT_CONTENT]
