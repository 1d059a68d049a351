"""Iceberg readers that are not ours agree with K2 on what is in its tables: rows, and a checksum of their values."""

import hashlib
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.market.topics import DataType
from k2app.query.engine import QueryEngine
from k2app.query.queries import QUOTES_QUERY, TRADES_QUERY
from k2app.query.requests import RowsRequest
from tests.pipeline.homes import counting, trades
from tests.services.artifacts import iceberg_classpath, tool
from tests.services.kafka_homes import new_exchange
from tests.services.lakes.homes import QUICK_FLUSHES, LakeHome, on_postgres, on_rest
from tests.services.s3 import REGION, S3

READER = Path(__file__).parent.parent / "IcebergRows.java"

READ_WITHIN_S = 120

COMMON = ("symbol", "timestamp", "sequence", "sequence_flag", "currency", "partition", "offset", "commit_id")

COLUMNS = {
    Name.TRADES: ("price", "quantity", "side", "trade_id", *COMMON),
    Name.QUOTES: ("bid_price", "bid_quantity", "ask_price", "ask_quantity", *COMMON),
}

QUERIES = {Name.TRADES: TRADES_QUERY, Name.QUOTES: QUOTES_QUERY}

Sum = tuple[int, str]
"""Rows, and the SHA-256 of one line per row, sorted."""


def checksum(rows: pa.Table, columns) -> Sum:
    lines = sorted(
        "|".join(map(text, row)) for row in zip(*(rows[c].to_pylist() for c in columns), strict=True)
    )
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()


def text(value) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return str((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def quotes(numbers) -> pa.Table:
    """Quotes of the given symbols and numbers; every third has no ask."""
    rows = trades(numbers)
    prices, sizes = rows["price"], rows["quantity"]
    some = pa.array([n % 3 > 0 for n in range(rows.num_rows)])
    kept = [name for name in rows.column_names if name not in {"price", "quantity", "side", "trade_id"}]
    found = rows.select(kept)
    sides = {"bid_price": prices, "bid_quantity": sizes}
    missing = pa.scalar(None, pa.decimal128(18, 8))
    sides |= {f"ask_{n}": pa.compute.if_else(some, rows[n], missing) for n in ("price", "quantity")}
    for at, (name, column) in enumerate(sides.items()):
        found = found.add_column(4 + at, name, column)
    return found


def filled(home: LakeHome) -> LakeHome:
    """Several flushes with every flag, among them duplicates, which queries leave out unless asked."""
    numbers = [*counting(7, 700), ("S1", 3), ("S2", None), ("S0", 800), ("S0", 750)]
    home.publish(trades(numbers))
    home.publish(quotes(numbers), DataType.QUOTES)
    home.drain()
    return home


@pytest.fixture(scope="module")
def rest_home(tmp_path_factory, storage, rest):
    path = tmp_path_factory.mktemp("rest-home") / "home"
    with closing(LakeHome(path, new_exchange(), **on_rest(storage, rest), **QUICK_FLUSHES)) as home:
        yield filled(home)


@pytest.fixture(scope="module")
def postgres_home(tmp_path_factory, storage, database):
    path = tmp_path_factory.mktemp("postgres-home") / "home"
    with closing(LakeHome(path, new_exchange(), **on_postgres(storage, database), **QUICK_FLUSHES)) as home:
        yield filled(home)


def by_k2(home: LakeHome, name: Name) -> Sum:
    """As K2 answers queries, duplicates and all."""
    with closing(QueryEngine(home.settings, home.catalog, exchanges.load())) as engine:
        request = RowsRequest(include_duplicates=True, include_retracted=True, limit=100_000)
        found = engine.answer(QUERIES[name], request)
    assert found.next is None
    return checksum(found.rows, COLUMNS[name])


def pyiceberg_properties(storage: S3) -> dict[str, str]:
    return {
        "s3.endpoint": storage.endpoint,
        "s3.region": REGION,
        "s3.access-key-id": storage.access_key_id,
        "s3.secret-access-key": storage.secret_access_key,
    }


def duckdb_iceberg(storage: S3) -> duckdb.DuckDBPyConnection:
    """DuckDB with its own Iceberg reader."""
    connection = duckdb.connect()
    for name in ("httpfs", "avro", "iceberg"):
        (folder,) = find_spec(f"duckdb_extension_{name}").submodule_search_locations
        file = Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        connection.execute(f"LOAD '{file}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{storage.access_key_id}', SECRET '{storage.secret_access_key}', "
        f"REGION '{REGION}', ENDPOINT '127.0.0.1:{storage.port}', URL_STYLE 'path', USE_SSL false)"
    )
    return connection


@pytest.mark.parametrize("name", COLUMNS)
def test_pyiceberg_agrees(name, rest_home, storage, rest):
    """A plain pyiceberg that knows nothing of K2, through the REST catalog."""
    given = {"uri": rest.uri, "token": rest.token, **pyiceberg_properties(storage)}
    with closing(load_catalog("other", **given)) as catalog:
        table = catalog.load_table((rest_home.settings.lake.namespace, name))
        found = checksum(table.scan().to_arrow(), COLUMNS[name])
    assert by_k2(rest_home, name) == found
    assert 4_904 == found[0]


@pytest.mark.parametrize("name", COLUMNS)
def test_duckdb_iceberg_agrees_by_metadata(name, postgres_home, storage):
    """DuckDB's Iceberg extension, given the metadata file that the catalog in PostgreSQL names."""
    location = postgres_home.table(name).metadata_location
    with closing(duckdb_iceberg(storage)) as connection:
        rows = connection.execute("SELECT * FROM iceberg_scan(?)", [location]).to_arrow_table()
    assert by_k2(postgres_home, name) == checksum(rows, COLUMNS[name])


@pytest.mark.parametrize("name", COLUMNS)
def test_duckdb_iceberg_agrees_by_catalog(name, rest_home, storage, rest):
    """DuckDB's Iceberg extension, through the REST catalog."""
    namespace = rest_home.settings.lake.namespace
    with closing(duckdb_iceberg(storage)) as connection:
        connection.execute(
            f"ATTACH 'warehouse' AS other (TYPE iceberg, ENDPOINT '{rest.uri}', TOKEN '{rest.token}', "
            "ACCESS_DELEGATION_MODE 'none')"
        )
        rows = connection.execute(f"SELECT * FROM other.{namespace}.{name}").to_arrow_table()
    assert by_k2(rest_home, name) == checksum(rows, COLUMNS[name])


@pytest.mark.parametrize("name", COLUMNS)
def test_iceberg_java_agrees_by_catalog(name, rest_home, storage, rest):
    """Iceberg's Java library, through the REST catalog."""
    catalog = {"catalog-impl": "org.apache.iceberg.rest.RESTCatalog", "uri": rest.uri, "token": rest.token}
    found = by_java(rest_home.settings.lake.namespace, name, catalog | storage.java_properties)
    assert by_k2(rest_home, name) == found


def by_java(namespace: str, name: Name, properties: dict[str, str]) -> Sum:
    command = [
        *(tool("java"), "-Xmx384m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"),
        *("-cp", iceberg_classpath(), str(READER), namespace, name, ",".join(COLUMNS[name])),
        *(f"{key}={value}" for key, value in properties.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=READ_WITHIN_S)
    assert 0 == done.returncode, done.stderr[-3_000:]
    rows, found = done.stdout.split()
    return int(rows), found
