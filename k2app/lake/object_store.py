"""A warehouse on S3: what pyiceberg and Arrow are told of it, and how its refusals are told from its outages."""

from __future__ import annotations

import re

from pyiceberg.io import (
    S3_ACCESS_KEY_ID,
    S3_CONNECT_TIMEOUT,
    S3_ENDPOINT,
    S3_FORCE_VIRTUAL_ADDRESSING,
    S3_REGION,
    S3_REQUEST_TIMEOUT,
    S3_SECRET_ACCESS_KEY,
    S3_SESSION_TOKEN,
)

from k2app.lake.trust import S3_CA_FILE
from k2app.settings import S3Settings, Settings

S3_SCHEMES = ("s3://", "s3a://", "s3n://")
"""Beginnings of a location on S3; the last two are Hadoop's names for the same."""

REFUSED = re.compile(
    "ACCESS_DENIED|SIGNATURE_DOES_NOT_MATCH|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT"
    "|INCOMPLETE_SIGNATURE|MISSING_AUTHENTICATION_TOKEN|ExpiredToken|InvalidToken|AuthorizationHeaderMalformed"
    r"|UserNotFound|HTTP status 301|HTTP status 400\) during Head"
)
"""What Arrow's message holds when the server knows who asks, or does not, and refuses. A wrong region is redirected; an
answer to HEAD has no room for a reason."""

CREDENTIALS = (
    "the object store refuses the credentials: check K2_S3_ACCESS_KEY_ID, K2_S3_SECRET_ACCESS_KEY and K2_S3_REGION, "
    "and what that key may do in the bucket of K2_LAKE_WAREHOUSE"
)
"""What to do then."""

NO_BUCKET = re.compile("NO_SUCH_BUCKET|InvalidBucketName")


def is_on_s3(location: str) -> bool:
    """Whether a location is on S3."""
    return location.startswith(S3_SCHEMES)


def s3_properties(settings: Settings) -> dict[str, str]:
    """How S3 is reached, as pyiceberg's properties; those of K2_LAKE_PROPERTIES win.

    pyiceberg hands them to Arrow, queries hand them to DuckDB: both reach the same store in the same way.
    """
    given = {name: value.get_secret_value() for name, value in settings.lake.properties.items()}
    return _from_settings(settings.s3) | {name: v for name, v in given.items() if name.startswith("s3.")}


def refusal(error: Exception) -> str | None:
    """What a person has to do about an error of the object store; None where it may go away by itself."""
    text = str(error)
    if NO_BUCKET.search(text):
        return "the bucket does not exist: create it, or mend K2_LAKE_WAREHOUSE"
    if REFUSED.search(text):
        return CREDENTIALS
    return None


def _from_settings(s3: S3Settings) -> dict[str, str]:
    found = {
        S3_ENDPOINT: s3.endpoint,
        S3_REGION: s3.region,
        S3_ACCESS_KEY_ID: s3.access_key_id,
        S3_SECRET_ACCESS_KEY: s3.secret_access_key.get_secret_value(),
        S3_SESSION_TOKEN: s3.session_token.get_secret_value(),
        S3_CONNECT_TIMEOUT: str(s3.connect_timeout_s),
        S3_REQUEST_TIMEOUT: str(s3.timeout_s),
        S3_CA_FILE: str(s3.ca_file or ""),
    }
    if s3.virtual_hosts:
        found[S3_FORCE_VIRTUAL_ADDRESSING] = "true"
    return {name: value for name, value in found.items() if value}
