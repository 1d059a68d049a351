"""Snapshots named one by one, and reads that go on while the lake is compacted, expired or evolved."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.types import DecimalType, StringType

from k2app.errors import GoneError, RequestError, TransientError
from k2app.lake.catalog import load
from k2app.lake.fileio import local_path
from k2app.lake.tables import Name
from k2app.query.answers.result_text import to_json
from k2app.query.engine import QueryEngine
from k2app.query.queries import TRADES_QUERY
from k2app.query.reading.plan import Planner
from k2app.query.requests import GapsRequest, Request, RowsRequest, SummariesRequest, make, parse
from tests.processes import WITHIN_S
from tests.query_lake import MONDAY, gap, quote, trade

BULK = 50


def offsets(result):
    return result.rows["offset"].to_pylist()


def text(ids):
    return ",".join(f"{name}:{'null' if number is None else number}" for name, number in ids.items())


def expire(catalog, settings, name=Name.TRADES, *, files=True):
    """Expire every snapshot of a table but the current one, and delete the files that only they had."""
    table = load(catalog, settings, name)
    before = files_of(table)
    table.maintenance.expire_snapshots().older_than(datetime(2100, 1, 1, tzinfo=UTC)).commit()
    if files:
        for path in before - files_of(load(catalog, settings, name)):
            Path(path).unlink()


def files_of(table):
    """Data files, manifests and manifest lists of every snapshot."""
    found = set()
    for snapshot in table.metadata.snapshots:
        found.add(str(local_path(snapshot.manifest_list)))
        for manifest in snapshot.manifests(table.io):
            found.add(str(local_path(manifest.manifest_path)))
            entries = manifest.fetch_manifest_entry(table.io)
            found |= {str(local_path(entry.data_file.file_path)) for entry in entries}
    return found


def compact(catalog, settings, name=Name.TRADES):
    """Write every row anew, as a compaction does."""
    table = load(catalog, settings, name)
    table.overwrite(table.scan().to_arrow())


# --- naming a set


def test_the_set_that_an_answer_printed_gives_the_answer_again(put, engine, record):
    """All of it, or the part that matters: rows, gaps and retractions as they were."""
    put("gaps", [gap("opened", 0, 1, 2)])
    put("trades", [trade(0, load_id="a"), trade(1)])
    first = engine.trades(RowsRequest())
    record("a")
    put("quotes", [quote(0)])
    second = engine.trades(RowsRequest())
    put("trades", [trade(2, load_id="b")])
    put("gaps", [gap("filled", 1, 1, 2)])
    record("b")
    for answer in (first, second):
        assert to_json(answer) == to_json(engine.trades(make(RowsRequest, snapshots=text(answer.snapshots))))
    assert [0, 1] == offsets(
        engine.trades(make(RowsRequest, snapshots=f"trades:{first.snapshots['trades']}"))
    )
    by_quotes = make(
        RowsRequest, snapshots=text({"quotes": engine.quotes(RowsRequest()).snapshots["quotes"]})
    )
    assert [1] == offsets(engine.trades(by_quotes)), "of the moment of the one that is named"
    nothing = engine.trades(make(RowsRequest, snapshots="trades:none,gaps:none"))
    assert ([], None) == (offsets(nothing), nothing.as_of_us)
    asked = parse(GapsRequest, [("snapshots", f" gaps : {first.snapshots['gaps']} ")])
    assert f"gaps:{first.snapshots['gaps']}" == asked.snapshots
    assert ["open"] == engine.gaps(asked).rows["state"].to_pylist()


def test_a_set_is_paged_through_like_any_other(put, engine):
    """The cursor goes on where the set was; the same set in another order is the same question."""
    put("gaps", [gap("opened", 0, 1, 2)])
    put("trades", [trade(n) for n in range(4)])
    ids = engine.trades(RowsRequest()).snapshots
    put("trades", [trade(9)])
    page = engine.trades(make(RowsRequest, snapshots=text(ids), limit=3))
    turned = text(dict(reversed(ids.items())))
    assert [3] == offsets(engine.trades(make(RowsRequest, snapshots=turned, limit=3, cursor=page.next)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"snapshots": "trades"}, r"^snapshots: 'trades' is not a table's snapshot; takes TABLE:ID"),
        ({"snapshots": "bars:1"}, r"^snapshots: 'bars:1' is not a table's snapshot"),
        ({"snapshots": "trades:x"}, r"^snapshots: 'trades:x' has no snapshot id"),
        ({"snapshots": "trades:1,trades:2"}, r"^snapshots: .* names trades twice"),
        ({"snapshots": ""}, r"^snapshots: "),
        ({"snapshots": "trades:99999999999999999999"}, r"^snapshots: "),
        ({"snapshot_id": 1, "tag": "a"}, r"^tag: takes no snapshot_id beside it"),
        ({"as_of": 1, "snapshots": "trades:1"}, r"^snapshots: takes no as_of beside it"),
        ({"as_of": 1, "tag": "a"}, r"^tag: takes no as_of beside it"),
    ],
)
def test_a_pin_that_is_none_is_refused(given, said):
    """Names the parameter; two of them may contradict each other."""
    with pytest.raises(RequestError, match=said):
        make(Request, **given)


def test_a_gap_is_known_though_its_snapshot_has_expired(put, engine, catalog, settings):
    """Rows of an old snapshot that is kept, and gaps of then by their commit time."""
    kept = put("gaps", [gap("opened", 0, 1, 2)])
    pinned = put("trades", [trade(0)])
    late = datetime(2100, 1, 1, tzinfo=UTC)
    put("gaps", [gap("opened", 5, 7, 9, committed_at=late)])
    load(catalog, settings, Name.GAPS).maintenance.expire_snapshots().by_id(kept).commit()
    answer = engine.trades(RowsRequest(snapshot_id=pinned))
    assert [("open_gaps", 1)] == [(notice.code, notice.count) for notice in answer.warnings]
    assert [0] == offsets(answer)


# --- what is gone


def test_a_cursor_whose_snapshot_has_expired_is_gone(put, engine, catalog, settings):
    """410, with the way out; never a page of other rows."""
    put("trades", [trade(n) for n in range(4)])
    page = engine.trades(RowsRequest(limit=2))
    put("trades", [trade(9)])
    expire(catalog, settings)
    with pytest.raises(
        GoneError, match=r"^cursor: snapshot \d+ of trades is not there, or has expired.*as_of"
    ) as gone:
        engine.trades(RowsRequest(limit=2, cursor=page.next))
    assert "cursor" == gone.value.parameter
    for pin in ("snapshot_id", "snapshots"):
        number = page.snapshots["trades"]
        value = number if pin == "snapshot_id" else f"trades:{number}"
        with pytest.raises(GoneError, match=f"^{pin}: "):
            engine.trades(make(RowsRequest, **{pin: value}))
    assert [0, 1, 2, 3, 9] == offsets(engine.trades(RowsRequest()))


class Meddling(Planner):
    """A planner; after it has planned, something happens to the lake, once."""

    def __init__(self, happens):
        super().__init__()
        object.__setattr__(self, "happens", [happens])

    def files(self, table, snapshot, row_filter):
        found = super().files(table, snapshot, row_filter)
        if self.happens:
            self.happens.pop()()
        return found


@pytest.fixture
def meddled(engine):
    """Ask, while something happens between plan and read."""

    def ask(happens, request):
        engine._planner = Meddling(happens)
        return engine.trades(request)

    return ask


def test_files_that_expire_between_plan_and_read_are_gone(put, engine, catalog, settings, meddled):
    """The plan names files that are deleted by then: 410, whichever way the set was named."""
    first = put("trades", [trade(n) for n in range(3)])
    put("trades", [trade(n) for n in range(3, 6)])

    def happens():
        compact(catalog, settings)
        expire(catalog, settings)

    with pytest.raises(GoneError, match=r"^snapshot_id: snapshot \d+ of trades"):
        meddled(happens, RowsRequest(snapshot_id=first))
    put("trades", [trade(6)])
    with pytest.raises(GoneError, match=r"of trades is not there, or has expired; start again"):
        meddled(happens, RowsRequest())
    engine._planner = Planner()
    assert [0, 1, 2, 3, 4, 5, 6] == offsets(engine.trades(RowsRequest()))


def test_a_stream_whose_files_expire_is_gone(put, engine, catalog, settings):
    """An answer that is written while it is read breaks off with the same error; what was written are its own rows."""
    put("trades", [trade(n) for n in range(3)])

    def happens():
        compact(catalog, settings)
        expire(catalog, settings)

    engine._planner = Meddling(happens)
    running = engine.submit_stream(TRADES_QUERY, RowsRequest(), lambda stream: list(stream.batches))
    with pytest.raises(GoneError, match=r"of trades is not there, or has expired"):
        running.future.result(WITHIN_S)


def test_a_file_that_is_lost_is_no_expiry(put, catalog, settings, meddled):
    """The snapshot is kept and its file is not: a fault of the disk, which may pass."""
    put("trades", [trade(0)])
    table = load(catalog, settings, Name.TRADES)
    (task,) = table.scan().plan_files()
    with pytest.raises(TransientError, match="a data file could not be read"):
        meddled(lambda: Path(local_path(task.file.file_path)).unlink(), RowsRequest())


def test_a_read_goes_on_while_the_lake_is_compacted(put, engine, catalog, settings, meddled):
    """On its own snapshot, whose files are there until it expires; then the pages after it, the same rows."""
    put("trades", [trade(n) for n in range(BULK)])
    put("trades", [trade(n) for n in range(BULK, 2 * BULK)])
    walked = meddled(lambda: compact(catalog, settings), RowsRequest(limit=30))
    rows, cursor = offsets(walked), walked.next
    while cursor is not None:
        compact(catalog, settings)
        page = engine.trades(RowsRequest(limit=30, cursor=cursor))
        rows, cursor = rows + offsets(page), page.next
    assert list(range(2 * BULK)) == rows
    assert rows == offsets(engine.trades(RowsRequest()))


# --- what has changed


def evolve(catalog, settings):
    """Add a column, rename one that is filtered by and one that is shown, widen a decimal and an integer."""
    table = load(catalog, settings, Name.TRADES)
    with table.update_schema() as update:
        update.add_column("venue_note", StringType())
        update.rename_column("trade_id", "trade_reference")
        update.rename_column("symbol", "instrument")
        update.update_column("price", DecimalType(28, 8))


def test_a_read_goes_on_while_columns_are_added_renamed_and_widened(put, engine, catalog, settings):
    """Every page has the columns and the types of its snapshot; a filter means the column of then."""
    put("trades", [trade(n, symbol="AB"[n % 2], trade_id=f"T{n}") for n in range(8)])
    asked = {"symbol": ("A",), "limit": 2}
    page = engine.trades(RowsRequest(**asked))
    whole = engine.trades(RowsRequest(symbol=("A",)))
    evolve(catalog, settings)
    pages = [page.rows]
    while page.next is not None:
        page = engine.trades(RowsRequest(**asked, cursor=page.next))
        pages.append(page.rows)
    assert whole.rows.equals(pa.concat_tables(pages))
    assert to_json(whole) == to_json(engine.trades(RowsRequest(symbol=("A",))))
    assert ["A", "B"] == engine.summaries(SummariesRequest(start_date=MONDAY)).rows["symbol"].to_pylist()


def test_after_an_evolution_old_snapshots_read_as_they_did(put, engine, catalog, settings):
    """A column that was added is there from the next commit on, null in older rows."""
    first = put("trades", [trade(0)])
    before = to_json(engine.trades(RowsRequest(snapshot_id=first)))
    table = load(catalog, settings, Name.TRADES)
    with table.update_schema() as update:
        update.add_column("venue_note", StringType())
        update.rename_column("trade_id", "trade_reference")
        update.update_column("price", DecimalType(28, 8))
    table = load(catalog, settings, Name.TRADES)
    table.append(table.scan().to_arrow())
    assert before == to_json(engine.trades(RowsRequest(snapshot_id=first)))
    now = engine.trades(RowsRequest()).rows
    assert ([None, None], pa.decimal128(28, 8)) == (
        now["venue_note"].to_pylist(),
        now.schema.field("price").type,
    )
    assert "trade_id" not in now.column_names


def test_a_lake_that_is_away_is_an_error_and_no_empty_answer(put, catalog, settings):
    """Without its files there is nothing to read, and that is said."""
    put("trades", [trade(0)])
    shutil.rmtree(settings.home / "warehouse" / "market_data" / "trades" / "data")
    engine = QueryEngine(settings, catalog, {})
    with pytest.raises(TransientError, match="a data file could not be read"):
        engine.trades(RowsRequest())
    engine.close()
