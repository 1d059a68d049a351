"""Trust in the lake's servers: which authorities vouch for them, and what it looks like where none does."""

from __future__ import annotations

import re
from typing import Final

from pyarrow.fs import FileSystem, S3FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from requests.exceptions import SSLError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from k2app.ca_files import trusting
from k2app.errors import OperatorError
from k2app.settings import Settings

S3_CA_FILE = "k2.s3-ca-file"
"""Catalog property, K2's own: PEM file with the authorities that vouch for S3; pyiceberg has none for it."""

PY_IO_IMPL = "k2app.lake.trust.TrustingFileIO"
"""Value of the catalog property `py-io-impl` where that file is named."""

VERIFIED: Final = frozenset({"require", "verify-ca", "verify-full"})
"""Values of libpq's `sslmode` by which it checks a certificate once it is told the authorities."""

_OF_S3 = re.compile("SSL peer certificate|SSL CA cert|SSL server verification failed")
"""In what curl says of a certificate, to Arrow and to DuckDB, and what DuckDB's other client says."""

_OF_REST = re.compile("CERTIFICATE_VERIFY_FAILED")
"""OpenSSL's word. Other errors of encryption may pass: a connection that is cut while it is being made."""

_OF_POSTGRES = re.compile(
    "certificate verify failed|server certificate for .* does not match|root certificate file|does not support SSL"
)
"""In what libpq says."""


class TrustingFileIO(PyArrowFileIO):
    """pyiceberg's Arrow file access, to an S3 that an authority of one's own vouches for."""

    def _initialize_s3_fs(self, netloc: str | None) -> FileSystem:
        # What pyiceberg makes of its properties, once more with the authority: it hands Arrow none. A file system can
        # be pickled, so it says what it is made of (all but a retry strategy, of which K2 sets none).
        _, (options,) = super()._initialize_s3_fs(netloc).__reduce__()
        return S3FileSystem(**options | {"tls_ca_file_path": self.properties[S3_CA_FILE]})


def check(settings: Settings) -> None:
    """Check the files that name authorities before anything connects: each client has words of its own for that.

    Raises
    ------
    OperatorError
        One cannot be read or holds no certificates, or would not be used.
    """
    lake, s3 = settings.lake, settings.s3
    if s3.ca_file is not None:
        trusting(s3.ca_file, "K2_S3_CA_FILE")
        if s3.endpoint.startswith("http:"):
            raise OperatorError(
                "K2_S3_ENDPOINT is http://, by which nothing is encrypted: write https://, or unset K2_S3_CA_FILE"
            )
    if lake.ca_file is not None:
        trusting(lake.ca_file, "K2_LAKE_CA_FILE")
        _check_used(settings.catalog_uri)


def distrust(error: Exception) -> str | None:
    """What is wrong, and what to do, where a certificate is not trusted; None where an error is another one."""
    if isinstance(error, SQLAlchemyError):
        part, words, settings = "database", _OF_POSTGRES, "K2_LAKE_CA_FILE and K2_LAKE_URI"
    elif isinstance(error, SSLError):
        part, words, settings = "catalog", _OF_REST, "K2_LAKE_CA_FILE and K2_LAKE_URI"
    else:
        part, words, settings = "object store", _OF_S3, "K2_S3_CA_FILE and K2_S3_ENDPOINT"
    if not words.search(str(error)):
        return None
    # What follows is SQL, or a link to somebody's documentation.
    said = str(error).strip().partition("\n")[0]
    return f"the certificate of the {part} is not trusted: see {settings} ({said})"


def _check_used(uri: str) -> None:
    scheme = uri.partition(":")[0]
    if scheme in {"sqlite", "http"}:
        raise OperatorError(
            f"K2_LAKE_URI is {scheme}://, by which nothing is encrypted: name a catalog on a server, with "
            "https:// or postgresql://, or unset K2_LAKE_CA_FILE"
        )
    if scheme.startswith("postgres") and (mode := _sslmode(uri)) not in VERIFIED:
        raise OperatorError(
            f"K2_LAKE_URI says sslmode={mode}, by which no certificate is checked: leave it out (it is verify-full "
            "then), or unset K2_LAKE_CA_FILE"
        )


def _sslmode(uri: str) -> str:
    try:
        return str(make_url(uri).query.get("sslmode", "verify-full"))
    except (ArgumentError, ValueError):
        # said where the URI is used
        return "verify-full"
