"""The Iceberg catalog: opening it, creating the tables, loading one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

import stamina
from pyiceberg.catalog import TOKEN, URI, Catalog, load_catalog
from pyiceberg.catalog.rest import CREDENTIAL, RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    OAuthError,
    RESTError,
    TableAlreadyExistsError,
    UnauthorizedError,
)
from pyiceberg.io import WAREHOUSE
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from requests import RequestException, Session
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from k2app import logs
from k2app.errors import OperatorError, TransientError
from k2app.lake import evolution, object_store, sql_catalog, trust
from k2app.lake.fileio import PY_IO_IMPL, local_path
from k2app.lake.tables import FORMAT, FORMAT_PROPERTY, SPECS, Name
from k2app.settings import LakeSettings, Settings

REST_TIMEOUT_PROPERTY = "k2.rest-timeout-s"
"""Catalog property: seconds without an answer after which a request fails; pyiceberg would wait for ever."""

RETRY_AFTER_S = 1.0
"""Seconds to wait after the catalog did not answer."""

GROWTHS = 8
"""Times that a table's new columns are tried: processes that start together, and a worker that commits meanwhile."""

REST_CA_PROPERTY = "k2.rest-ca-file"
"""Catalog property: PEM file with the authorities that vouch for the catalog. pyiceberg's `ssl.cabundle` gives way to
the variable REQUESTS_CA_BUNDLE, and is no text."""

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
    """pyiceberg's REST catalog with a time limit on every request, and an authority that vouches for it."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        timeout_s = float(self.properties[REST_TIMEOUT_PROPERTY])
        trusted = self.properties.get(REST_CA_PROPERTY)
        # on the instance, so that it holds for every adapter (request signing mounts its own)
        setattr(session, "request", partial(session.request, timeout=timeout_s, verify=trusted))  # noqa: B010 - mypy forbids the assignment
        return session


def open_catalog(settings: Settings) -> Catalog:
    """Open the catalog that `settings` name; a SQLite file and its folder are made if missing.

    Raises
    ------
    TransientError
        The catalog does not answer.
    OperatorError
        It refuses the credentials, its certificate is not trusted, or the settings do not name one.
    """
    trust.check(settings)
    properties, uri = _properties(settings), settings.catalog_uri
    with answering(f"catalog {sql_catalog.shown(uri)}"):
        if uri.startswith("sqlite"):
            return sql_catalog.open_sqlite(settings.lake.catalog, properties)
        if uri.startswith("postgres"):
            return sql_catalog.open_postgres(settings.lake, properties)
        if not {"type", "py-catalog-impl"} & set(properties) and not uri.startswith("thrift"):
            raise OperatorError(
                f"K2_LAKE_URI {sql_catalog.shown(uri)} is none of sqlite:///, postgresql:// and http(s)://; other "
                "catalogs of pyiceberg need their `type` in K2_LAKE_PROPERTIES"
            )
        return load_catalog(settings.lake.catalog, **properties)


def create_tables(
    catalog: Catalog, settings: Settings, rules: Mapping[Name, Mapping[str, str]] | None = None
) -> list[str]:
    """Create the namespace, every table and column that is missing, widen decimals, and pin the sequence rules.

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
        A pinned rule differs from the one in force, a table has another format, or columns that do not become those
        of the newest schemas.
    """
    rules = rules or {}
    with answering("catalog"):
        _create_namespace(catalog, settings.lake.namespace)
        created = [name for name in SPECS if _create(catalog, settings, name, rules.get(name, {}))]
    for name in SPECS:
        table = _grow(partial(load, catalog, settings, name), name)
        _pin(table, name, rules.get(name, {}))
    return [str(name) for name in created]


def check_growth(catalog: Catalog, settings: Settings) -> dict[str, str]:
    """Check that every table that exists may become what the newest schemas say; changes nothing.

    Returns
    -------
    dict
        What tables lack, in words, by name; those that lack nothing are not in it.

    Raises
    ------
    OperatorError
        One may not: names table, column and both types.
    """
    lacking: dict[str, str] = {}
    for name, spec in SPECS.items():
        with answering("catalog"):
            exists = catalog.table_exists((settings.lake.namespace, name))
        if exists:
            found = evolution.growth(spec, load(catalog, settings, name).schema())
            lacking |= {str(name): str(found)} if found else {}
    return lacking


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
    except (UnauthorizedError, ForbiddenError, OAuthError) as error:
        raise OperatorError(
            f"{what}: the catalog refuses access: {error}; check K2_LAKE_TOKEN or K2_LAKE_CREDENTIAL"
        ) from error
    except (SQLAlchemyError, RequestException, RESTError, OSError) as error:
        raise _failure(what, error, " does not answer") from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn a failed read or write of the warehouse into `TransientError`, a refused one into `OperatorError`."""
    try:
        yield
    except OSError as error:
        raise _failure(what, error) from error


def _failure(what: str, error: Exception, failed: str = "") -> OperatorError | TransientError:
    mistrusted = trust.distrust(error)
    if mistrusted is not None:
        return OperatorError(f"{what}: {mistrusted}")
    if sql_catalog.refused(error):
        said = str(error.__cause__ or error).strip()
        return OperatorError(f"{what}: the database refuses: {said}; check K2_LAKE_URI and K2_LAKE_PASSWORD")
    way_out = object_store.refusal(error)
    if way_out is not None:
        return OperatorError(f"{what}: {way_out} ({error})")
    return TransientError(f"{what}{failed}: {error}", retry_after_s=RETRY_AFTER_S)


def _properties(settings: Settings) -> dict[str, str]:
    lake, uri = settings.lake, settings.catalog_uri
    found = {URI: uri, **object_store.s3_properties(settings)}
    if uri.startswith("http"):
        found |= _rest_properties(lake)
        warehouse, local = lake.warehouse, lake.warehouse.startswith(("/", "file:"))
    else:
        warehouse, local = _warehouse(settings)
    if warehouse:
        found[WAREHOUSE] = warehouse
    if local:
        found["py-io-impl"] = PY_IO_IMPL
    elif trust.S3_CA_FILE in found:
        found["py-io-impl"] = trust.PY_IO_IMPL
    return found | {name: value.get_secret_value() for name, value in lake.properties.items()}


def _rest_properties(lake: LakeSettings) -> dict[str, str]:
    found = {
        "py-catalog-impl": f"{TimedRestCatalog.__module__}.{TimedRestCatalog.__qualname__}",
        REST_TIMEOUT_PROPERTY: str(lake.timeout_s),
        TOKEN: lake.token.get_secret_value(),
        CREDENTIAL: lake.credential.get_secret_value(),
        REST_CA_PROPERTY: str(lake.ca_file or ""),
    }
    return {name: value for name, value in found.items() if value}


def _warehouse(settings: Settings) -> tuple[str, bool]:
    """Root of the tables, and whether it is a local folder; a `file://` location is literal, not quoted."""
    root = local_path(settings.lake.warehouse) if settings.lake.warehouse else settings.home / "warehouse"
    return (settings.lake.warehouse, False) if root is None else (f"file://{root}", True)


def _create_namespace(catalog: Catalog, namespace: str) -> None:
    try:
        catalog.create_namespace_if_not_exists(namespace)
    except (NamespaceAlreadyExistsError, IntegrityError):
        # another process made it in between
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


def _grow(load_now: Callable[[], Table], name: Name) -> Table:
    """Add columns and widen decimals (`evolution`); of processes that start at once, one does it."""
    try:
        for attempt in stamina.retry_context(
            on=CommitFailedException, attempts=GROWTHS, timeout=None, wait_max=1.0
        ):
            with attempt:
                table = load_now()
                with answering(f"table {name}"):
                    found = evolution.grow(table, SPECS[name])
                if found:
                    logs.get(__name__).info("table_grown", table=str(name), gained=str(found))
                return table
    except CommitFailedException as error:
        raise TransientError(f"{name}: the table changed while columns were added; try again") from error
    raise AssertionError("retry_context returns or raises")  # pragma: no cover - for the type checker


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
