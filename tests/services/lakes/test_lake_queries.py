"""Queries of a lake on S3: the answers are those of a local folder with the same rows."""

import random
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pytest
from pydantic import SecretStr

from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.queries import QUERIES
from k2app.query.replay.lines import Lines
from k2app.query.replay.player import opened, play
from k2app.query.replay.replay import Feed
from k2app.query.replay.request import ReplayFormat, ReplayRequest
from k2app.query.requests import make
from k2app.settings import LakeSettings, S3Settings, Settings
from tests.query_lake import MONDAY_US, append, gap, quote, trade
from tests.replay_lake import made_rows, objects
from tests.services.s3 import REGION

DAY_US = 86_400_000_000

COMMITS = 3

VARYING = frozenset(
    {"committed_at", "commit_id", "snapshot_id", "parent_id", "from_snapshot_id", "to_snapshot_id"}
)
"""Columns that say when and by which commit: no two lakes have them alike."""


@dataclass
class Lake:
    """A lake, its engine, and the snapshots of its trades, oldest first."""

    settings: Settings
    engine: QueryEngine
    snapshots: list[int]


def s3_settings(storage) -> S3Settings:
    return S3Settings(
        endpoint=storage.endpoint,
        region=REGION,
        access_key_id=storage.access_key_id,
        secret_access_key=storage.secret_access_key,
    )


def settings_on_s3(home, storage, database) -> Settings:
    """A new lake in a bucket whose keys have letters that are not URLs' own."""
    warehouse = f"s3://{storage.new_bucket()}/a lake's 50% [1]"
    lake = LakeSettings(uri=database.uri(database.new_database()), warehouse=warehouse)
    return Settings(home=home, lake=lake, s3=s3_settings(storage))


def filled(settings, made, gaps) -> tuple[Lake, object]:
    """The lake of some rows, in a few commits, and its catalog."""
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    put = partial(append, catalog, settings)
    for part in range(COMMITS):
        for table, rows in made.items():
            put(table, rows[part::COMMITS])
    put("gaps", gaps)
    history = [s.snapshot_id for s in load(catalog, settings, Name.TRADES).snapshots()]
    return Lake(settings, QueryEngine(settings, catalog, exchanges.load()), history), catalog


@pytest.fixture(scope="module")
def lakes(tmp_path_factory, storage, database):
    """The same rows in a folder and on S3."""
    made = made_rows(11, rows=600)
    gaps = [gap("opened", 3, 4, 9, micros=5), gap("opened", 4, 20, 90, micros=DAY_US + 3, symbol="RIO")]
    folder = tmp_path_factory.mktemp("lakes")
    local, local_catalog = filled(Settings(home=folder / "local"), made, gaps)
    remote, remote_catalog = filled(settings_on_s3(folder / "remote", storage, database), made, gaps)
    with closing(local_catalog), closing(remote_catalog), closing(local.engine), closing(remote.engine):
        yield local, remote


def questions():
    """Name of a query and its parameters: all that read rows, with filters, orders, pages and pins."""
    chance = random.Random(5)  # noqa: S311 - made-up questions
    fixed = [
        ("trades", {}),
        ("trades", {"limit": 7, "order": "desc", "include_duplicates": True}),
        ("trades", {"symbol": ('Q"\\é',), "exchange": "asx"}),
        ("trades", {"symbol": ("NONE",)}),
        ("quotes", {"limit": 50}),
        ("bars", {"interval": "1s"}),
        ("bars", {"interval": "1d", "fill": "previous"}),
        ("bars", {"interval": "1h", "align": "session", "symbol": ("RIO",)}),
        ("taq", {"symbol": ("BHP", "RIO"), "limit": 40}),
        ("summaries", {"start_date": "2026-01-05", "end_date": "2026-01-08"}),
        ("symbols", {}),
        ("range", {}),
        ("gaps", {}),
        ("gaps", {"events": True, "limit": 1}),
        ("completeness", {}),
        ("dead-letters", {}),
    ]
    drawn = [(chance.choice(["trades", "quotes", "bars", "taq"]), drawn_range(chance)) for _ in range(30)]
    return [*fixed, *((name, asked | needed(name)) for name, asked in drawn)]


def drawn_range(chance) -> dict[str, object]:
    day = chance.choice([0, DAY_US])
    start = MONDAY_US + day + chance.randrange(8)
    symbols = tuple(chance.sample(["BHP", "RIO", 'Q"\\é', "NONE"], chance.randrange(1, 4)))
    return {"start": start, "end": start + chance.choice([1, 3, 9, DAY_US]), "symbol": symbols, "limit": 23}


def needed(name: str) -> dict[str, object]:
    return {"interval": "1m"} if name == "bars" else {}


def pages(lake: Lake, name: str, asked: dict[str, object]) -> list[tuple[pa.Table, list[str]]]:
    """Rows and warnings of every page of an answer."""
    query = next(q for q in QUERIES if q.name == name)
    found, cursor = [], None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        result = lake.engine.answer(query, make(query.request, **asked, **more))
        kept = [c for c in result.rows.column_names if c not in VARYING]
        found.append((result.rows.select(kept), [warning.code for warning in result.warnings]))
        cursor = result.next
        if cursor is None:
            return found


@pytest.mark.parametrize(("name", "asked"), questions())
def test_answer_on_s3_is_the_local_one(name, asked, lakes):
    """Rows, their order, the pages and the warnings do not depend on where the files are."""
    local, remote = (pages(lake, name, asked) for lake in lakes)
    assert len(local) == len(remote)
    for (rows, warnings), (found, found_warnings) in zip(local, remote, strict=True):
        assert warnings == found_warnings
        assert rows.equals(found)


@pytest.mark.parametrize("number", range(COMMITS))
def test_time_travel_on_s3_is_the_local_one(number, lakes):
    """Each snapshot as it was, and what came after it."""
    answers = []
    for lake in lakes:
        snapshot = lake.snapshots[number]
        then = pages(lake, "trades", {"snapshot_id": snapshot, "limit": 1_000})
        since = pages(lake, "diff", {"from_": str(snapshot), "table": "trades"})
        answers.append((then, since))
    (local_then, local_since), (remote_then, remote_since) = answers
    assert local_then[0][0].equals(remote_then[0][0])
    assert local_since[0][0].equals(remote_since[0][0])


@pytest.mark.parametrize(
    "asked", [{}, {"symbol": ("RIO",)}, {"start": MONDAY_US + 4, "include_duplicates": True}]
)
def test_replay_on_s3_is_the_local_one(asked, lakes):
    """Trades and quotes merged, with gaps where they were seen, and the same hash at the end."""
    local, remote = (replayed(lake, asked) for lake in lakes)
    assert local == remote
    assert 100 < len([line for line in local if "control" not in line])


def replayed(lake: Lake, asked: dict[str, object]) -> list[dict]:
    """Lines of a replay without what names its snapshots."""
    written = []
    lines = Lines(Feed(opened(lake.engine, make(ReplayRequest, **asked))), ReplayFormat.NDJSON)
    play(lake.engine, lines, written.append)
    found = [line for data in written for line in objects(bytes(data))]
    changing = {*VARYING, "snapshots", "as_of", "cursor", "hash", "sha256"}
    return [{k: v for k, v in line.items() if k not in changing} for line in found]


def test_key_that_is_not_set_is_found_as_aws_tools_do(tmp_path, storage, database, monkeypatch):
    """Commits by Arrow and queries by DuckDB take it from the environment, as they would from a machine's role."""
    settings = settings_on_s3(tmp_path, storage, database)
    keyless = settings.s3.model_copy(update={"access_key_id": "", "secret_access_key": SecretStr("")})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", storage.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", storage.secret_access_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    rows = {"trades": [trade(n) for n in range(9)], "quotes": [quote(n) for n in range(9)]}
    lake, catalog = filled(settings.model_copy(update={"s3": keyless}), rows, [])
    with closing(catalog), closing(lake.engine):
        assert 9 == sum(rows.num_rows for rows, _ in pages(lake, "trades", {}))


def test_queries_reach_nothing_beside_the_warehouse(lakes, storage):
    """Another folder of the same bucket, another bucket, a file of this machine: refused, whatever the key may do."""
    _, remote = lakes
    bucket = remote.settings.warehouse.removeprefix("s3://").partition("/")[0]
    with storage.files().open_output_stream(f"{bucket}/beside/x.csv") as beside:
        beside.write(b"a\n1\n")
    for place in (f"s3://{bucket}/beside/x.csv", f"{storage.endpoint}/{bucket}/beside/x.csv", "/etc/passwd"):
        with pytest.raises(Exception, match=r"disabled by configuration|Permission"):
            remote.engine._pool._connection.execute("SELECT * FROM read_csv(?)", [place])


def test_trades_of_many_row_groups(tmp_path, storage, database):
    """A file larger than one row group, read as a page, as bars and as a window."""
    rows = {
        "trades": [trade(n, micros=1_000 * n, price=str(n % 97)) for n in range(70_000)],
        "quotes": [quote(0)],
    }
    local, local_catalog = filled(Settings(home=tmp_path / "local"), rows, [])
    remote, remote_catalog = filled(settings_on_s3(tmp_path / "remote", storage, database), rows, [])
    asked = {"start": MONDAY_US + 69_000_000, "limit": 500}
    with closing(local_catalog), closing(remote_catalog), closing(local.engine), closing(remote.engine):
        assert pages(local, "trades", asked) == pages(remote, "trades", asked)
        assert pages(local, "bars", {"interval": "1s"}) == pages(remote, "bars", {"interval": "1s"})
        assert replayed(local, {}) == replayed(remote, {})
