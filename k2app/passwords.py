"""Passwords in texts that people see: lines of the log, answers over HTTP, traces."""

from __future__ import annotations

import re

_URL_PASSWORD = re.compile(r"(://[^\s/:@'\"]*):[^\s/'\"]+@")
"""Source: RFC 3986, 3.2.1: user and password before the host."""

_PARAMETER = re.compile(r"([?&](?:password|sslpassword|token|credential|secret)=)[^&\s'\"\\]+", re.IGNORECASE)
"""Source: PostgreSQL, "Parameter Key Words": libpq takes a password from a URI's query, too."""


def without_passwords(text: str) -> str:
    """Text without the passwords of its URLs: libraries put what they were given into their errors.

    JSON stays JSON: no quote is taken away, and none of the backslashes before one.
    """
    return _PARAMETER.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", text))
