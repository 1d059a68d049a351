"""Where the embedded log is."""

from __future__ import annotations

from pathlib import Path

from k2app.errors import OperatorError


def log_path(url: str, variable: str = "K2_LOG_URL") -> Path:
    """Path of the file that a `sqlite:///PATH` URL names.

    Raises
    ------
    OperatorError
        The URL is of another form.
    """
    prefix = "sqlite:///"
    if not url.startswith(prefix) or len(url) == len(prefix):
        raise OperatorError(f"{variable} is {url!r}: a file is written sqlite:///PATH")
    return Path(url[len(prefix) :])
