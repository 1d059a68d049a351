"""Two homes on one Kafka held against each other, and each against the log: rows, gaps, dead letters, states."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from k2app.lake.audit import completeness
from k2app.lake.catalog import load, open_catalog
from k2app.lake.floors import floor_in_force
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.operate.changelogs import changelog_of, stored_states
from k2app.operate.opening import viewed
from tests.pipeline.homes import wait_until
from tests.services.kafka_homes import MarketHome
from tests.storm.comparison import VARYING

MAIN = {Name.TRADES: DataType.TRADES, Name.QUOTES: DataType.QUOTES}
"""Tables that a storm fills."""

DRAIN_WITHIN_S = 1_800.0
"""Seconds of an undisturbed pass: far above what it takes."""

MEMORY = "2GB"
"""What a comparison may take; beyond it goes to the disk."""


def topics_of(home: MarketHome) -> dict[Name, str]:
    """Topic of each table."""
    return {name: home.outlet(data_type).topic for name, data_type in MAIN.items()}


class Floors:
    """Where the lake of a home ends, asked again and again."""

    def __init__(self, home: MarketHome) -> None:
        self._settings = home.settings
        self._catalog = open_catalog(self._settings)

    def close(self) -> None:
        """Close the catalog."""
        self._catalog.close()

    def total(self) -> int:
        """Offsets in the lake, over tables and partitions."""
        return sum(floor.next_offset for name in MAIN for floor in self._of(name))

    def _of(self, name: Name):
        table = load(self._catalog, self._settings, name)
        return floor_in_force(table.metadata).partitions.values()


def undisturbed(home: MarketHome, path: Path) -> MarketHome:
    """A home with the same topics, and a group, a lake and a state of its own: one worker reads them to the end."""
    given = {key: home.environment[key] for key in ("K2_LOG_URL", "K2_REGISTRY_URL")}
    other = MarketHome(path, home.exchange, partitions=home.partitions, **given)
    other.environment["K2_CONSUMER_GROUP"] = f"{home.group}-undisturbed"
    with other.running(["worker", "--drain"], "undisturbed-worker") as worker:
        wait_until(worker.ended, "the undisturbed pass at its end", DRAIN_WITHIN_S)
        assert 0 == worker.process.returncode, worker.printed()[-3_000:]
    return other


def log_ends(home: MarketHome) -> dict[tuple[str, int], int]:
    """Next offset of every partition."""
    return {
        (topic, partition): end
        for topic in topics_of(home).values()
        for partition, end in home.ends(topic).items()
    }


def lag(home: MarketHome) -> int:
    """Records that the lake, or the consumer group's committed offsets, have not reached."""
    committed, floors = home.committed(), {}
    for name in MAIN:
        floors |= home.floors(name)
    ends = log_ends(home)
    return sum(max(end - min(floors.get(p, 0), committed.get(p, 0)), 0) for p, end in ends.items())


def faults(home: MarketHome) -> list[str]:
    """What is wrong with one home: offsets missing or twice, metadata that does not add up."""
    found = [f"audit of {name}: {problem}" for name in MAIN for problem in completeness(home.table(name))]
    with _engine(home.path) as engine:
        for name, topic in topics_of(home).items():
            _view(engine, "main", home, name)
            _view(engine, "dead", home, Name.DEAD_LETTERS)
            counts = engine.execute(
                'SELECT "partition", count(*), count(DISTINCT "offset"), min("offset"), max("offset") + 1 FROM '
                '(SELECT "partition", "offset" FROM main UNION ALL '
                'SELECT "partition", "offset" FROM dead WHERE topic = ?) GROUP BY 1',
                [topic],
            ).fetchall()
            expected = {(p, end, end, 0, end) for p, end in home.ends(topic).items() if end}
            found += [
                f"{topic}: partition, rows, offsets, first, end: {row}" for row in expected ^ set(counts)
            ]
    return found


def differences(home: MarketHome, other: MarketHome) -> list[str]:
    """What differs between two homes; empty: nothing."""
    with _engine(home.path) as engine:
        tables = [
            problem
            for name in (*MAIN, Name.GAPS, Name.DEAD_LETTERS)
            for problem in _table(engine, home, other, name)
        ]
    floors = [
        f"floors of {name}: {home.floors(name)} and {other.floors(name)}"
        for name in MAIN
        if home.floors(name) != other.floors(name)
    ]
    return tables + floors + list(_states(home, other))


def counts(home: MarketHome) -> dict[str, int]:
    """Rows of each table."""
    return {str(name): home.table(name).scan().count() for name in (*MAIN, Name.GAPS, Name.DEAD_LETTERS)}


def flags(home: MarketHome) -> dict[str, int]:
    """Trades by sequence flag."""
    with _engine(home.path) as engine:
        _view(engine, "main", home, Name.TRADES)
        rows = engine.execute(
            "SELECT sequence_flag, count(*) FROM main GROUP BY 1 ORDER BY 2 DESC"
        ).fetchall()
    return dict(rows)


@contextlib.contextmanager
def _engine(beside: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    spill = str(beside.with_name("spill"))
    with duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "temp_directory": spill}) as engine:
        yield engine


def _view(engine: duckdb.DuckDBPyConnection, view: str, home: MarketHome, name: Name) -> list[str]:
    """Let `view` be a table of a home, without what varies from run to run; returns its columns."""
    table = home.table(name)
    columns = [field.name for field in table.schema().fields if field.name not in VARYING]
    files = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
    listed = ", ".join(f'"{column}"' for column in columns)
    if files:
        engine.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {listed} FROM read_parquet({files})")
    else:
        rows = table.scan().to_arrow().select(columns)
        engine.register(f"{view}_rows", rows)
        engine.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT * FROM {view}_rows")
    return columns


def _table(
    engine: duckdb.DuckDBPyConnection, home: MarketHome, other: MarketHome, name: Name
) -> Iterator[str]:
    _view(engine, "mine", home, name)
    _view(engine, "theirs", other, name)
    for one, two, where in (("mine", "theirs", "here"), ("theirs", "mine", "in the undisturbed pass")):
        # A hash of the row first: whole rows are large, and nearly always the same.
        rows = engine.execute(
            f"WITH odd AS (SELECT hash({one}) AS h FROM {one} EXCEPT ALL SELECT hash({two}) FROM {two}) "
            f"SELECT (SELECT count(*) FROM odd), {one} FROM {one} WHERE hash({one}) IN (FROM odd) LIMIT 1"
        ).fetchall()
        yield from (f"{name}: {count:,} rows only {where}, {row} for example" for count, row in rows)


def _states(home: MarketHome, other: MarketHome) -> Iterator[str]:
    with viewed(home.settings) as log:
        for topic in topics_of(home).values():
            for partition in range(home.partitions):
                found = []
                for group in (home.group, other.group):
                    states, mark = stored_states(log, changelog_of(group, topic), partition)
                    whole = mark is None or mark.digest == states.digest()
                    found.append((None if mark is None else mark.next_offset, whole, states.to_primitives()))
                mine, theirs = found
                if mine != theirs or not mine[1]:
                    keys = mine[2].keys() | theirs[2].keys()
                    odd = sorted(k for k in keys if mine[2].get(k) != theirs[2].get(k))
                    yield (
                        f"states of {topic}/{partition}: watermark and whole {mine[:2]} and {theirs[:2]}, "
                        f"{len(odd)} keys differ: {odd[:3]}"
                    )
