"""What kind of failure a reason in the dead letters is: few, so that they can be labels of a metric."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

KINDS: Final = (
    ("framing", r"too short for a header|longer than \d+ bytes|wrong magic byte"),
    ("unknown_schema", r"unknown schema id"),
    ("schema", r"schema id \d+ (does not fit|cannot be read)"),
    ("truncated", r"truncated at|trailing bytes|block size is wrong"),
    ("bounds", r"timestamp -?\d+ µs is not|int beyond|varint beyond|too many nulls|decimal not of"),
    (
        "type",
        r"enum index|union branch|boolean neither|negative length|null in field|invalid UTF-8|unknown symbol|key",
    ),
    ("topic", r"(exchange|asset_class) is "),
    ("tombstone", r"null value"),
)
"""Kinds, and how the reasons of each begin. Any other is `other`."""

OTHER: Final = "other"

_KNOWN: Final = tuple((kind, re.compile(beginning)) for kind, beginning in KINDS)


def kind_of(reason: str) -> str:
    """Kind of one reason."""
    return next((kind for kind, beginning in _KNOWN if beginning.match(reason)), OTHER)


def kinds(dead_letters: pa.Table) -> dict[str, int]:
    """Dead letters by kind; empty for none."""
    found: dict[str, int] = {}
    if dead_letters.num_rows:
        for entry in pc.value_counts(dead_letters["reason"]).to_pylist():
            kind = kind_of(entry["values"])
            found[kind] = found.get(kind, 0) + entry["counts"]
    return found
