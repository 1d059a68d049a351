"""Files with the certificates of the authorities that vouch for a server."""

from __future__ import annotations

import ssl
from pathlib import Path

from k2app.errors import OperatorError


def trusting(ca_file: Path, variable: str) -> ssl.SSLContext:
    """TLS context of a client that trusts the authorities in a file, and no others.

    Parameters
    ----------
    variable
        That names the file, for messages: K2_KAFKA_CA_FILE.

    Raises
    ------
    OperatorError
        The file cannot be read, or holds no certificates.
    """
    try:
        return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca_file))
    except OSError as error:
        raise OperatorError(f"{variable}: {_why(ca_file, error, 'holds no certificates in PEM')}") from error


def refuse_unreadable(file: Path, variable: str) -> None:
    """Open a file for reading, and close it.

    Raises
    ------
    OperatorError
        It cannot be read.
    """
    try:
        file.open("rb").close()
    except OSError as error:
        raise OperatorError(f"{variable}: {_why(file, error, '')}") from error


def _why(file: Path, error: OSError, otherwise: str) -> str:
    # SSLError is an OSError, but its text is OpenSSL's.
    return f"{file} {otherwise}" if isinstance(error, ssl.SSLError) else f"{file}: {error.strerror}"
