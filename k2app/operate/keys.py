"""API keys: what one may do, how fast, and until when.

A key is `k2_<id>_<secret>`. The secret is 256 random bits, so its plain SHA-256 is stored: there is nothing to guess
that a slow hash would make slower, and a check costs microseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from k2app.errors import OperatorError
from k2app.settings import RATE_TEXT

ID_BYTES = 6
"""Bytes of a key's id: enough that two never meet; it is no secret and stands in lists and logs."""

SECRET_BYTES = 32
"""Bytes of a key's secret: beyond guessing."""

_KEY_TEXT = re.compile(r"k2_([0-9a-f]{1,64})_([0-9a-f]{1,256})", re.ASCII)


class Scope(StrEnum):
    """What a key is good for. None contains another: a key has what it was given."""

    READ = "read"
    REPLAY = "replay"
    ADMIN = "admin"


class ApiKey(BaseModel):
    """One key as stored: everything but its secret.

    Parameters
    ----------
    rate
        Requests that it may make, such as `50/s`; None: as `K2_WEB_RATE` says.
    secret_sha256
        Hash of the secret, in hexadecimal.
    expires_at, revoked_at
        Times from which on it is not good any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    rate: str | None = Field(None, pattern=f"^{RATE_TEXT}$")
    secret_sha256: str = Field(min_length=64, max_length=64)
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def state(self, now: datetime) -> str:
        """`good`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "good"


class NewKey(NamedTuple):
    """A key that was just made, and the only copy of its text."""

    key: ApiKey
    text: str


def new_key(
    name: str, scopes: Iterable[Scope], rate: str | None, expires_at: datetime | None, now: datetime
) -> NewKey:
    """Make a key; its text is not kept anywhere.

    Raises
    ------
    OperatorError
        It would have no name or scope, a rate that is none, or would have expired.
    """
    chosen = tuple(sorted(set(scopes)))
    _check(name, chosen, rate, expires_at, now)
    key_id, secret = secrets.token_hex(ID_BYTES), secrets.token_hex(SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        name=name,
        scopes=chosen,
        rate=rate,
        secret_sha256=_sha256(secret),
        created_at=now,
        expires_at=expires_at,
    )
    return NewKey(key, f"k2_{key_id}_{secret}")


def find(keys: Iterable[ApiKey], text: str) -> ApiKey | None:
    """Key that a text is the whole of, good or not; None: of none. Takes the same time for every wrong secret."""
    match = _KEY_TEXT.fullmatch(text)
    if match is None:
        return None
    key_id, secret = match.groups()
    found = next((key for key in keys if key.id == key_id), None)
    # An id that is not there costs as much as one that is.
    expected = _sha256("") if found is None else found.secret_sha256
    is_same = hmac.compare_digest(_sha256(secret).encode(), expected.encode())
    return found if is_same else None


def _check(
    name: str, scopes: tuple[Scope, ...], rate: str | None, expires_at: datetime | None, now: datetime
) -> None:
    if not name.strip() or not name.isprintable():
        raise OperatorError(f"--name takes a name for people, such as 'prometheus'; got {name!r}")
    if not scopes:
        raise OperatorError(f"--scope takes one or more of {', '.join(Scope)}")
    if rate is not None and not re.fullmatch(RATE_TEXT, rate):
        raise OperatorError(
            f"--rate takes requests by second, minute, hour or day (50/s, 3000/min, 10/h, 9/d); got {rate!r}"
        )
    if expires_at is not None and expires_at <= now:
        raise OperatorError(f"--expires {expires_at.isoformat()} is over already")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
