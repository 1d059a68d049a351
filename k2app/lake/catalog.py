"""The Iceberg catalog: opening it, creating the tables, loading one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from pyiceberg.catalog import URI, Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    RESTError,
    TableAlreadyExistsError,
    UnauthorizedError,
)
from pyiceberg.io import WAREHOUSE
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from requests import RequestException, Session
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from k2app.errors import OperatorError, TransientError
from k2app.lake.fileio import PY_IO_IMPL, local_path
from k2app.lake.tables import FORMAT, FORMAT_PROPERTY, SPECS, Name
from k2app.settings import Settings

BUSY_TIMEOUT_S = 30
"""Seconds that a SQLite catalog waits for another process's write: a commit holds the lock for milliseconds."""

REST_TIMEOUT_S = 60.0
"""Seconds without an answer after which a REST catalog's request fails; pyiceberg would wait for ever."""

REST_TIMEOUT_PROPERTY = "k2.rest-timeout-s"
"""Catalog property that overrides `REST_TIMEOUT_S`."""

RETRY_AFTER_S = 1.0
"""Seconds to wait after the catalog did not answer."""

TABLE_PROPERTIES: Final[Mapping[str, str]] = {
    FORMAT_PROPERTY: FORMAT,
    # pyiceberg's own retry would rebuild the snapshot with the stale floor
    "commit.retry.num-retries": "0",
    "write.parquet.compression-codec": "zstd",
    # metadata files hold every snapshot's floors: keep a bounded number of them
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}
"""Properties of every table at its creation."""


class TimedRestCatalog(RestCatalog):
    """pyiceberg's REST catalog with a time limit on every request."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        timeout_s = float(self.properties.get(REST_TIMEOUT_PROPERTY, REST_TIMEOUT_S))
        # on the instance, so that it holds for every adapter (request signing mounts its own)
        setattr(session, "request", partial(session.request, timeout=timeout_s))  # noqa: B010 - mypy forbids the assignment
        return session


def open_catalog(settings: Settings) -> Catalog:
    """Open the catalog that `settings` name; a SQLite file and its folder are made if missing.

    Raises
    ------
    TransientError
        The catalog does not answer.
    OperatorError
        It refuses the credentials.
    """
    properties = _properties(settings)
    with answering(f"catalog {_shown(settings.catalog_uri)}"):
        if settings.catalog_uri.startswith("sqlite"):
            return _open_sqlite(settings.lake.catalog, properties)
        return load_catalog(settings.lake.catalog, **properties)


def create_tables(
    catalog: Catalog, settings: Settings, rules: Mapping[Name, Mapping[str, str]] | None = None
) -> list[str]:
    """Create the namespace, every table and column that is missing, and pin the sequence rules in force.

    Idempotent, also among processes that start at once.

    Parameters
    ----------
    rules
        Per table, property name (`k2.sequence-rule.asx`) to text. A rule not pinned yet (a new exchange) is added.

    Returns
    -------
    list of str
        Names of the tables that were created.

    Raises
    ------
    OperatorError
        A pinned rule differs from the one in force, or a table has another format.
    """
    rules = rules or {}
    with answering("catalog"):
        _create_namespace(catalog, settings.lake.namespace)
        created = [name for name in SPECS if _create(catalog, settings, name, rules.get(name, {}))]
    for name in SPECS:
        table = load(catalog, settings, name)
        _add_columns(table, name)
        _pin(table, name, rules.get(name, {}))
    return [str(name) for name in created]


def load(catalog: Catalog, settings: Settings, name: Name) -> Table:
    """Load a table with its newest metadata.

    Raises
    ------
    OperatorError
        There is no such table, its format is not this program's, or its metadata file is gone.
    TransientError
        The catalog or the warehouse does not answer.
    """
    with answering(f"table {settings.lake.namespace}.{name}"):
        table = catalog.load_table((settings.lake.namespace, name))
    found = table.properties.get(FORMAT_PROPERTY)
    if found != FORMAT:
        raise OperatorError(
            f"table {settings.lake.namespace}.{name} has {FORMAT_PROPERTY} = {found}, this program reads and "
            f"writes {FORMAT}: use the version of K2 that made it, or another namespace (K2_LAKE_NAMESPACE)"
        )
    return table


def check_readable(table: Table, snapshot: Snapshot) -> None:
    """Check that a snapshot consists of data files alone.

    Raises
    ------
    OperatorError
        It has delete files, which another engine wrote (K2 never does): reading past them would bring back rows.
    """
    with reading(f"snapshot {snapshot.snapshot_id}"):
        manifests = snapshot.manifests(table.io)
    if any(m.content == ManifestContent.DELETES for m in manifests):
        raise OperatorError(
            f"snapshot {snapshot.snapshot_id} of {'.'.join(table.name())} has delete files, written by another "
            "engine; K2 reads data files only: rewrite the table there without them "
            "(Spark: rewrite_data_files; Trino: ALTER TABLE ... EXECUTE optimize), or ask for an older snapshot"
        )


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Turn what a catalog raises into `OperatorError` or `TransientError`."""
    try:
        yield
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise OperatorError(f"{what} does not exist: run `k2 init`") from error
    except FileNotFoundError as error:
        raise OperatorError(
            f"{what}: the catalog names a file that is gone: {error}; restore the warehouse"
        ) from error
    except (UnauthorizedError, ForbiddenError) as error:
        raise OperatorError(f"{what}: the catalog refuses access: {error}") from error
    except (SQLAlchemyError, RequestException, RESTError, OSError) as error:
        raise TransientError(f"{what} does not answer: {error}", retry_after_s=RETRY_AFTER_S) from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn a failed read or write of the warehouse into `TransientError`."""
    try:
        yield
    except OSError as error:
        raise TransientError(f"{what}: {error}", retry_after_s=RETRY_AFTER_S) from error


def _properties(settings: Settings) -> dict[str, str]:
    uri = settings.catalog_uri
    found = {URI: uri}
    if uri.startswith("http"):
        found["py-catalog-impl"] = f"{TimedRestCatalog.__module__}.{TimedRestCatalog.__qualname__}"
        warehouse = settings.lake.warehouse
        local = warehouse.startswith(("/", "file:"))
    else:
        warehouse, local = _warehouse(settings)
    if warehouse:
        found[WAREHOUSE] = warehouse
    if local:
        found["py-io-impl"] = PY_IO_IMPL
    return found | settings.lake.properties


def _warehouse(settings: Settings) -> tuple[str, bool]:
    """Root of the tables, and whether it is a local folder; a `file://` location is literal, not quoted."""
    root = local_path(settings.lake.warehouse) if settings.lake.warehouse else settings.home / "warehouse"
    return (settings.lake.warehouse, False) if root is None else (f"file://{root}", True)


def _open_sqlite(name: str, properties: dict[str, str]) -> Catalog:
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


def _use_wal(path: Path) -> None:
    """Create the file with a write-ahead log, so that readers and the writer do not block each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _be_durable(connection: Any, _record: Any) -> None:
    """Sync at every commit: a commit that was reported survives a power cut."""
    connection.execute("PRAGMA synchronous=FULL")


def _create_namespace(catalog: Catalog, namespace: str) -> None:
    try:
        catalog.create_namespace_if_not_exists(namespace)
    except NamespaceAlreadyExistsError:
        return


def _create(catalog: Catalog, settings: Settings, name: Name, rules: Mapping[str, str]) -> bool:
    identifier = (settings.lake.namespace, name)
    if catalog.table_exists(identifier):
        return False
    spec = SPECS[name]
    try:
        catalog.create_table(
            identifier,
            spec.schema,
            partition_spec=spec.partition,
            sort_order=spec.sort,
            properties={**TABLE_PROPERTIES, **rules},
        )
    except TableAlreadyExistsError:
        return False
    return True


def _add_columns(table: Table, name: Name) -> None:
    """Add the columns that came after the table was made; older files read as null there."""
    known = set(table.schema().column_names)
    missing = [field for field in SPECS[name].schema.fields if field.name not in known]
    if not missing:
        return
    try:
        with answering(f"table {name}"), table.update_schema() as update:
            for field in missing:
                update.add_column(field.name, field.field_type, doc=field.doc)
    except CommitFailedException as error:
        raise TransientError(f"{name}: the table changed while columns were added; try again") from error


def _pin(table: Table, name: Name, rules: Mapping[str, str]) -> None:
    changed = {k: v for k, v in rules.items() if table.properties.get(k, v) != v}
    for key, text in changed.items():
        raise OperatorError(
            f"{name}: {key} is pinned as {table.properties[key]!r} and is {text!r} now; rows already flagged under "
            "the old rule would no longer mean the same: restore the rule in the exchanges file, or load into "
            "another namespace (K2_LAKE_NAMESPACE)"
        )
    missing = {k: v for k, v in rules.items() if k not in table.properties}
    if not missing:
        return
    try:
        with answering(f"table {name}"), table.transaction() as transaction:
            transaction.set_properties(missing)
    except CommitFailedException as error:
        raise TransientError(f"{name}: the table changed while {sorted(missing)} was pinned") from error


def _shown(uri: str) -> str:
    return uri if uri.startswith("http") else make_url(uri).render_as_string(hide_password=True)
