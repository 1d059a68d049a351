from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pytest

from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.ledger import append_if
from k2app.lake.tables import SPECS, Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.settings import Settings
from tests.query_lake import LOG, append


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "a home [1]")


@pytest.fixture
def catalog(settings):
    """Catalog with every table, in a folder of its own."""
    opened = open_catalog(settings)
    create_tables(opened, settings)
    yield opened
    opened.close()


@pytest.fixture
def put(catalog, settings):
    """Append rows to a table; returns the snapshot id."""
    return partial(append, catalog, settings)


@pytest.fixture
def engine(catalog, settings):
    opened = QueryEngine(settings, catalog, exchanges.load())
    yield opened
    opened.close()


@pytest.fixture
def record(catalog, settings):
    """Record a state of a load; returns the snapshot's time, UTC microseconds."""

    def write(load_id, state="retracted", data_type="trades", at_us=None):
        row = {
            "load_id": load_id, "state": state, "file": f"{load_id}.csv", "file_sha256": "00" * 32,
            "recorded_at": datetime.now(UTC) if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC),
            "file_bytes": 1, "exchange": "asx", "data_type": data_type, "profile": "k2", "sequence_mode": "source",
            "symbol": None, "rows": 1, "rejects": 0, "rejects_file": None, "numbers": [], "sent": [],
            "log_id": LOG, "reason": None,
        }  # fmt: skip
        table = load(catalog, settings, Name.LOADS)
        current = table.current_snapshot()
        rows = pa.Table.from_pylist([row], schema=SPECS[Name.LOADS].arrow_schema)
        append_if(table, rows, None if current is None else current.snapshot_id)
        return table.refresh().current_snapshot().timestamp_ms * 1_000

    return write
