"""What the lake's columns mean: docs of those that K2 adds, and of record fields whose Avro schema says nothing.

They stand here and not in the schemas: a schema's text is what a registry knows it by, so that one word more would be
another schema. A new table gets them as Iceberg docs; an older one keeps what it was made with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COLUMN_DOCS: Final[Mapping[str, str]] = {
    "asset_class": "Class of the exchange's instruments.",
    "price": "Price of one unit, exact.",
    "quantity": "Units that changed hands, exact.",
    "currency": "Currency of the prices: of the record, else of the exchange.",
    "trade_id": "Venue's id of the trade; null: it gives none.",
    "sequence": "Number that the source, or the loader, gave the record; null: none.",
    "name": "Name of the instrument or its issuer.",
    "isin": "International securities identification number.",
    "listed_from": "First date listed; null: not known.",
    "sequence_flag": "What the sequence check says of the record; a duplicate is hidden unless asked for.",
    "epoch": "How often the numbers of its scope had started again when it came.",
    "trading_date": "Date of the session that the event time falls into, by the exchange's time zone.",
    "committed_at": "When the flush was made that brought it: known from then on.",
    "commit_id": "Id of that flush; `k2.commit-id` of its snapshots.",
    "log_id": "Identity of the log: the embedded file's UUID, or Kafka's cluster id.",
    "topic": "Topic on that log.",
    "partition": "Partition of the topic.",
    "offset": "Offset within the partition.",
}
"""Doc by column, of every table that has it and no other doc for it."""

TABLE_DOCS: Final[Mapping[str, Mapping[str, str]]] = {
    "reference_data": {
        "currency": "Currency that it is listed in.",
    },
    "gaps": {
        "event": "What happened to missing numbers: opened, filled, abandoned (by a reset) or merged (now uncertain).",
        "exchange": "Exchange of the topic.",
        "data_type": "Table that the numbers are of: trades or quotes.",
        "symbol": "Symbol whose numbers they are.",
        "trading_date": "Scope of the numbers; null: the exchange counts on over all dates.",
        "epoch": "Epoch of the gap: of an abandoned one, that before the reset.",
        "from_sequence": "First number that the event is about.",
        "to_sequence": "Last number that the event is about, inclusive.",
        "missing": "How many numbers it is about; of abandoned and merged ranges, those that had not come.",
        "severity": "`small` up to 10 numbers, else `large`.",
        "timestamp": "Event time of the record that showed it.",
        "event_index": "Place among the events of that record, from 0.",
    },
    "dead_letters": {
        "reason": "Why the message could not be read.",
        "schema_id": "Id in the message's frame; null: it has none.",
        "log_timestamp": "Time that the log gave the message.",
        "key": "The message's key as it came.",
        "value": "The message's value as it came; null: it had none.",
    },
    "loads": {
        "load_id": "Id of the load; rows carry it.",
        "state": "`reserved`, `sent`, `failed` or `retracted`; the newest row of a load counts.",
        "recorded_at": "When this row was written.",
        "file": "File as it was named.",
        "file_sha256": "SHA-256 of the file's bytes.",
        "file_bytes": "Size of the file.",
        "exchange": "Exchange that it was loaded for.",
        "data_type": "What it holds: trades, quotes or reference_data.",
        "profile": "Profile that it was read with; one of your own with an @ and a digest of what it says.",
        "sequence_mode": "Where the numbers come from: source, assign or none.",
        "symbol": "Symbol given for every row; null: the file says.",
        "rows": "Rows that were sent.",
        "rejects": "Rows that could not be read.",
        "rejects_file": "Where they are, with the reason; null: there are none.",
        "numbers": "Numbers that were given, by symbol and trading date.",
        "numbers.symbol": "Symbol.",
        "numbers.trading_date": "Trading date.",
        "numbers.first": "First number given.",
        "numbers.last": "Last number given, inclusive.",
        "sent": "Where its rows are on the log.",
        "sent.topic": "Topic.",
        "sent.partition": "Partition.",
        "sent.start": "First offset.",
        "sent.end": "Offset after the last.",
        "log_id": "Identity of that log.",
        "reason": "Why it failed or was retracted; null: it was not.",
    },
}
"""Doc by table and column (nested ones by path), before `COLUMN_DOCS`."""


def column_doc(table: str, column: str) -> str | None:
    """What a column means; None: nothing stands here."""
    return TABLE_DOCS.get(table, {}).get(column) or COLUMN_DOCS.get(column)
