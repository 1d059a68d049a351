"""Malformed rows: what is wrong, and the field that a loader must name."""

from __future__ import annotations

from dataclasses import dataclass

HEADERS = {
    "trades": ("symbol", "timestamp", "price", "quantity", "side", "trade_id", "conditions", "sequence"),
    "quotes": (
        "symbol",
        "timestamp",
        "bid_price",
        "bid_quantity",
        "ask_price",
        "ask_quantity",
        "conditions",
        "sequence",
    ),
}
"""Columns per data type, in file order (profile `k2`: the schema's field names)."""


@dataclass(frozen=True)
class Spoil:
    """One way to spoil a row.

    Parameters
    ----------
    kind
        Name in the ledger.
    field
        Field in error; None when the row as a whole cannot be read.
    text
        What stands in the field instead. `{}` is the good text, `{naive}` the good text without its `Z`.
    """

    kind: str
    field: str | None
    text: str = ""


_ANY = (
    Spoil("missing_symbol", "symbol"),
    Spoil("bad_timestamp", "timestamp", "2026-02-30T10:00:00.000000Z"),
    Spoil("naive_timestamp", "timestamp", "{naive}"),
    Spoil("too_few_fields", None),
    Spoil("too_many_fields", None),
    Spoil("bad_sequence", "sequence", "{}x"),
)

SPOILS = {
    "trades": (
        Spoil("bad_price", "price", "n/a"),
        Spoil("nan_price", "price", "NaN"),
        Spoil("too_many_places", "price", "10.123456789"),
        Spoil("too_many_digits", "price", "12345678901.12345678"),
        Spoil("too_many_digits", "quantity", "1234567890123456789"),
        Spoil("unknown_side", "side", "HOLD"),
        Spoil("empty_quantity", "quantity"),
        *_ANY,
    ),
    "quotes": (
        Spoil("bad_price", "bid_price", "n/a"),
        Spoil("nan_price", "ask_price", "NaN"),
        Spoil("too_many_places", "ask_price", "10.123456789"),
        Spoil("too_many_digits", "bid_price", "12345678901.12345678"),
        Spoil("too_many_digits", "ask_quantity", "1234567890123456789"),
        *_ANY,
    ),
}
"""Every way to spoil a row, per data type. A quote may lack a side, so an empty quantity is none."""


def spoil_line(line: str, spoil: Spoil, data_type: str) -> str:
    """Spoil a well-formed line (no quoted fields in it)."""
    fields = line.split(",")
    if spoil.kind == "too_few_fields":
        return ",".join(fields[:-2] + fields[-1:])
    if spoil.kind == "too_many_fields":
        return f"{line},"
    at = HEADERS[data_type].index(str(spoil.field))
    fields[at] = spoil.text.format(fields[at], naive=fields[at].removesuffix("Z"))
    return ",".join(fields)
