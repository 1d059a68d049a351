"""Workers whose lake is on S3, with its catalog in PostgreSQL or behind REST: the rows are those of a local lake."""

import signal
from contextlib import closing

import pytest

from k2app.faults import POINTS
from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import counting, trades
from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.lakes.homes import QUICK_FLUSHES, LakeHome, on_postgres, on_rest

SYMBOLS, EACH = 20, 500
"""10,000 rows: four flushes."""


def publish_market(home: MarketHome) -> None:
    """Blocks with gaps, late rows, duplicates, rows without a number, and broken messages between them."""
    numbers = counting(SYMBOLS, EACH)
    missing = {(f"S{s}", n) for s in range(0, SYMBOLS, 3) for n in range(300 + s, 303 + s)}
    for at in range(0, len(numbers), len(numbers) // 5):
        home.publish(trades([n for n in numbers[at : at + len(numbers) // 5] if n not in missing]))
        home.publish_raw([(b"S1", b"not avro"), (b"S2", None), (None, b"\0\0\0\x7f\x63tail")], partition=1)
        home.publish(trades([("S4", 20), ("S0", None), ("S5", 1)]))
    home.publish(trades([("S0", 301), ("S3", 305)]))


def publish_sequel(home: MarketHome) -> None:
    """What follows: judged rightly only with the states that the first part left."""
    home.publish(trades([("S0", 302), ("S3", EACH), ("S0", EACH + 1), ("S4", EACH + 5)]))


def unnamed(home: MarketHome) -> dict:
    """Everything in the lake, the exchange's name taken out."""

    def of(value):
        if isinstance(value, dict):
            return {of(k): of(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(of, value))
        return value.replace(home.exchange, "EXCHANGE") if isinstance(value, str) else value

    return of(home.everything())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same market in a folder and a SQLite file."""
    home = MarketHome(tmp_path_factory.mktemp("local") / "home", new_exchange(), **QUICK_FLUSHES)
    with closing(home):
        publish_market(home)
        publish_sequel(home)
        home.drain()
        return unnamed(home)


@pytest.mark.parametrize("point", [None, *(f"{p}:2" for p in POINTS)])
def test_embedded_log_to_s3_and_postgres(point, tmp_path, storage, database, undisturbed):
    """Every offset once, wherever the worker was killed: the metadata proves it, the rows are a local lake's."""
    environment = on_postgres(storage, database) | QUICK_FLUSHES
    with closing(LakeHome(tmp_path / "home", new_exchange(), **environment)) as home:
        check_lake(home, point, undisturbed)


@pytest.mark.parametrize("point", [None, "files-written:2", "main-committed:2", "states-written:2"])
def test_kafka_to_s3_and_rest_catalog(point, tmp_path, storage, rest, kafka_url, registry_url, undisturbed):
    """The same from Kafka, through a REST catalog."""
    log = {"K2_LOG_URL": kafka_url, "K2_REGISTRY_URL": registry_url}
    environment = on_rest(storage, rest) | QUICK_FLUSHES | log
    with closing(LakeHome(tmp_path / "home", new_exchange(), **environment)) as home:
        check_lake(home, point, undisturbed)


def check_lake(home: LakeHome, point: str | None, undisturbed: dict) -> None:
    """Publish, kill the worker at `point`, publish more, and compare."""
    publish_market(home)
    if point is not None:
        status, printed = home.run("--drain", K2_FAULT=point)
        assert -signal.SIGKILL == status, printed
    publish_sequel(home)
    home.drain()
    assert undisturbed == unnamed(home)
    assert [] == completeness(home.table(Name.TRADES))
    offsets = [(r["partition"], r["offset"]) for n in (Name.TRADES, Name.DEAD_LETTERS) for r in home.rows(n)]
    assert len(offsets) == len(set(offsets)) == home.committed_rows()


def test_everything_is_in_the_bucket(tmp_path, storage, database):
    """No file of the lake is on the worker's disk, and its home keeps no catalog."""
    with closing(LakeHome(tmp_path / "home", new_exchange(), **on_postgres(storage, database))) as home:
        home.publish(trades(counting(3, 10)))
        home.drain()
        location = home.table(Name.TRADES).location()
        assert location.startswith(home.settings.warehouse)
        kept = storage.keys(location.removeprefix("s3://"))
        assert any(key.endswith(".parquet") for key in kept)
        assert [] == [path for path in home.path.rglob("*") if path.suffix in {".parquet", ".avro"}]
        assert not (home.path / "catalog.db").exists()


def test_commands_work_on_servers(lake, tmp_path):
    """`k2 init`, `status` and `k2-query` need nothing but the settings."""
    with closing(LakeHome(tmp_path / "home", new_exchange(), **lake)) as home:
        assert lake["K2_LAKE_WAREHOUSE"] in home.k2("init")
        home.publish(trades(counting(3, 10)))
        home.drain()
        assert "trades" in home.k2("status")
