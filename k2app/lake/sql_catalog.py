"""Catalogs in a database: a SQLite file (the default), or PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pyiceberg.catalog import URI, Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from k2app.errors import OperatorError
from k2app.passwords import without_passwords
from k2app.settings import LakeSettings

BUSY_TIMEOUT_S = 30
"""Seconds that a SQLite catalog waits for another process's write: a commit holds the lock for milliseconds."""

CONNECT_TIMEOUT_S = 10
"""Seconds in which PostgreSQL must take a connection: a network round trip or two."""

POSTGRES_DRIVER = "postgresql+psycopg"
"""The driver that K2 brings (`k2[postgres]`) and takes where a URI names none."""

CREATING = 7_311_620_232
"""Number of PostgreSQL's advisory lock under which the catalog's own tables are made: any, of K2 alone."""

REFUSED: Final = re.compile(
    "authentication failed|no password supplied|does not exist|no pg_hba.conf entry|permission denied"
)
"""What PostgreSQL says when it answers, and refuses."""


def open_sqlite(name: str, properties: dict[str, str]) -> Catalog:
    """Open a catalog in a SQLite file; the file and its folder are made if missing."""
    url = make_url(properties[URI])
    if url.database is not None and url.database != ":memory:":
        _use_wal(Path(url.database))
    if "timeout" not in url.query:
        url = url.update_query_dict({"timeout": str(BUSY_TIMEOUT_S)})
    properties = properties | {URI: url.render_as_string(hide_password=False)}
    try:
        catalog = load_catalog(name, **properties)
    except OperationalError:
        # two processes created the catalog's own tables at once; now they are there
        catalog = load_catalog(name, **properties)
    if isinstance(catalog, SqlCatalog):
        event.listen(catalog.engine, "connect", _be_durable)
        catalog.engine.dispose()
    return catalog


def open_postgres(lake: LakeSettings, properties: dict[str, str]) -> Catalog:
    """Open a catalog in a PostgreSQL database, whose tables are made if missing.

    Raises
    ------
    OperatorError
        The URI is none, or its driver is not installed.
    """
    url = _postgres_url(lake)
    properties = {
        # a connection of the pool may have died with the server's last restart
        "pool_pre_ping": "true",
        **properties,
        URI: url.render_as_string(hide_password=False),
    }
    try:
        # a connection for this alone: it is closed whatever happens
        with create_engine(url, poolclass=NullPool).begin() as connection:
            # of processes that start at once, one makes the catalog's own tables
            connection.execute(select(func.pg_advisory_xact_lock(CREATING)))
            catalog = load_catalog(lake.catalog, **properties)
    except (ImportError, NoSuchModuleError) as error:
        raise OperatorError(
            f"{shown(lake.uri.get_secret_value())}: its driver is not installed ({error}): install K2 with the "
            f"extra `postgres` and write {POSTGRES_DRIVER}://"
        ) from error
    if url.drivername == POSTGRES_DRIVER and isinstance(catalog, SqlCatalog):
        from k2app.lake.timed_postgres import limit_answers  # noqa: PLC0415 - the driver is an extra

        limit_answers(catalog.engine, lake.timeout_s)
    return catalog


def refused(error: Exception) -> bool:
    """Whether a database has answered, and a person must act: a wrong password, no such database."""
    return isinstance(error, OperationalError | ProgrammingError) and bool(REFUSED.search(str(error)))


def shown(uri: str) -> str:
    """A catalog's URI without its password."""
    try:
        hidden = _http_shown(uri) if uri.startswith("http") else make_url(uri).render_as_string()
        return without_passwords(hidden)
    except (ArgumentError, ValueError):
        # the text may hold a password where no reader of URIs expects it
        return f"{uri.partition(':')[0]}:... (not a URI)"


def _http_shown(uri: str) -> str:
    """A REST catalog's URI without its password; ValueError if there is none that could be left out for sure."""
    parts = urlsplit(uri)
    # What is no number is more likely a password with a slash in it.
    _ = parts.port
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return parts._replace(netloc=f"{name}{colon and ':***'}{at}{host}").geturl()


def _postgres_url(lake: LakeSettings) -> URL:
    try:
        url = make_url(lake.uri.get_secret_value())
    except (ArgumentError, ValueError):
        raise OperatorError(
            "K2_LAKE_URI is not a URI: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, the password "
            "percent-encoded, or in K2_LAKE_PASSWORD as it is"
        ) from None  # its text would be the URI, password and all
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername=POSTGRES_DRIVER)
    if url.password is None and lake.password.get_secret_value():
        url = url.set(password=lake.password.get_secret_value())
    return url.update_query_dict({**_limits(lake.timeout_s), **_trusted(lake), **dict(url.query)})


def _trusted(lake: LakeSettings) -> dict[str, str]:
    """Parameters of libpq; by itself it asks for encryption and checks nobody's certificate."""
    return {} if lake.ca_file is None else {"sslmode": "verify-full", "sslrootcert": str(lake.ca_file)}


def _limits(timeout_s: float) -> dict[str, str]:
    """Parameters of libpq, which its drivers hand on; without them a dead peer is awaited for ever."""
    timeout_ms = str(int(timeout_s * 1000))
    return {
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        "tcp_user_timeout": timeout_ms,
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "options": f"-c statement_timeout={timeout_ms}",
        "application_name": "k2",
    }


def _use_wal(path: Path) -> None:
    """Create the file with a write-ahead log, so that readers and the writer do not block each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _be_durable(connection: Any, _record: Any) -> None:
    """Sync at every commit: a commit that was reported survives a power cut."""
    connection.execute("PRAGMA synchronous=FULL")
