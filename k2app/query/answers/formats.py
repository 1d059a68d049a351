"""Forms that an answer may have."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from k2app.errors import RequestError

F = TypeVar("F")


class Format(StrEnum):
    """Form of an answer by name."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}

_OTHERS = {
    "application/jsonl": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/parquet": Format.PARQUET,
    "application/x-parquet": Format.PARQUET,
    "application/*": Format.JSON,
    "text/*": Format.CSV,
    "*/*": Format.JSON,
}
"""Other names of the same, and wildcards."""

_BY_MEDIA_TYPE = {name: form for form, name in MEDIA_TYPES.items()} | _OTHERS


def accepted(header: str | None) -> Format:
    """Choose the form that an `Accept` header prefers. Source: RFC 9110, 12.5.1.

    Of equal weights the first counts; browsers, which name none of ours, get JSON.

    Raises
    ------
    RequestError
        It takes none of ours, not even by a wildcard.
    """
    return preferred(header, _BY_MEDIA_TYPE, Format.JSON)


def preferred(header: str | None, forms: Mapping[str, F], default: F) -> F:
    """As `accepted`, of other forms.

    Parameters
    ----------
    forms
        By media type, and by wildcards.
    default
        Where the header says nothing.

    Raises
    ------
    RequestError
        It takes none of them, not even by a wildcard.
    """
    if not header or not header.strip():
        return default
    ranges = [_weighed(part) for part in header.split(",")]
    known = [(weight, forms[name]) for name, weight in ranges if name in forms and weight > 0]
    if not known:
        listed = ", ".join(name for name in forms if "*" not in name)
        raise RequestError("Accept", f"names none of {listed}; or say format=")
    return max(known, key=lambda entry: entry[0])[1]


def _weighed(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0
