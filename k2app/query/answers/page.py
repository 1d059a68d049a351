"""Cursors: where a page ended, on which snapshots, of which question.

A cursor is `base64url(JSON || SHA-256 of it and of the question)`. It is bound to the question and shows
when it was changed; it is not a secret and grants nothing, since every value in it is checked and bound.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from k2app.errors import RequestError
from k2app.query.times import FIRST_US, LAST_US

_DIGEST_BYTES = 16
"""Bytes of SHA-256 kept: 2^128 guesses is enough, and the cursor goes into URLs."""

_VERSION = 1
"""Raised when the content changes: older cursors are then refused."""

MOST_ROWS = 2**62
"""More rows than any answer has; with a page added they are still a number of 64 bits."""

_Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]

Key = tuple[_Int64 | str | None, ...]
"""Values of the last row's sort columns."""


class Place(BaseModel):
    """Where a page ended.

    Parameters
    ----------
    snapshots
        Snapshot id of every table that takes part.
    tables
        UUIDs of those tables: ids mean nothing in another lake.
    known_until_us, retracted_until_us
        See `snapshots.SnapshotSet`.
    key
        Sort key of the last row of the page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int = _VERSION
    snapshots: dict[str, _Int64 | None]
    tables: dict[str, str]
    known_until_us: Annotated[int, Field(ge=FIRST_US, le=LAST_US)] | None = None
    retracted_until_us: Annotated[int, Field(ge=FIRST_US, le=LAST_US)] | None = None
    key: Key


def to_cursor(place: Place, question: object) -> str:
    """Write a place as text that goes into a URL."""
    body = place.model_dump_json().encode()
    return base64.urlsafe_b64encode(_digest(body, question) + body).rstrip(b"=").decode()


def from_cursor(cursor: str, question: object, key_types: tuple[type | tuple[type, ...], ...]) -> Place:
    """Read a cursor that `to_cursor` wrote for the same question.

    Parameters
    ----------
    key_types
        Types that each value of the key may have.

    Raises
    ------
    RequestError
        It was changed, cut, or belongs to another question.
    """
    raw = _decode(cursor)
    digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if digest != _digest(body, question):
        raise RequestError(
            "cursor", "was changed, or is from a query with other parameters; repeat those of the first page"
        )
    try:
        place = Place.model_validate_json(body)
    except ValidationError as error:
        raise RequestError("cursor", "is not one that K2 gave out; start without it") from error
    fits = len(place.key) == len(key_types) and all(map(isinstance, place.key, key_types))
    if place.version != _VERSION or not fits:
        raise RequestError("cursor", "is from another version of K2; start without it")
    return place


def rows_before(place: Place | None) -> int:
    """How many rows came before, where the key of a cursor is their number.

    Raises
    ------
    RequestError
        It is the number of none.
    """
    rows = 0 if place is None else int(place.key[0] or 0)
    if not 0 <= rows < MOST_ROWS:
        raise RequestError("cursor", "is not one that K2 gave out; start without it")
    return rows


def _decode(cursor: str) -> bytes:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise RequestError("cursor", "is not one that K2 gave out; start without it") from error
    # The last character has bits that decoding ignores; a changed one must not pass for the same.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != cursor:
        raise RequestError("cursor", "was changed; use `next` as it was given out")
    return raw


def _digest(body: bytes, question: object) -> bytes:
    asked = json.dumps(question, separators=(",", ":"), sort_keys=True).encode()
    return hashlib.sha256(b"%d:%b%b" % (len(body), body, asked)).digest()[:_DIGEST_BYTES]
