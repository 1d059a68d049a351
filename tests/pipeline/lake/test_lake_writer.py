from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from sqlalchemy.exc import OperationalError

import k2app
from k2app.errors import CommitUnknownError, FencedError, TransientError
from k2app.lake.audit import completeness
from k2app.lake.catalog import load
from k2app.lake.commit import Pace
from k2app.lake.fileio import local_path
from k2app.lake.floors import FLOOR, Fingerprint, PartitionFloor, floor_in_force, summary_of
from k2app.lake.history import snapshots
from k2app.lake.lineage import HOLE, ORIGIN, RANGE, carried
from k2app.lake.tables import Name
from k2app.lake.turns import Turns
from k2app.lake.writer import Flush, Writer
from tests.lake_flushes import Faulty, commit, flush, offsets, span, writer
from tests.lake_rows import LOG, MONDAY_US, TOPIC, dead_letters, gaps, trades
from tests.processes import WITHIN_S, stopped

LOCKED = OperationalError("UPDATE iceberg_tables", {}, Exception("database is locked"))
UNKNOWN = [TimeoutError("read timed out"), LOCKED, CommitStateUnknownException("502"), ConnectionResetError()]
HOPELESS = Pace(within_s=0.3, first_wait_s=0.01, longest_wait_s=0.05, jitter_s=0.01)


@pytest.fixture
def who(catalog, settings):
    return writer(catalog, settings)


@pytest.fixture
def table_of(catalog, settings):
    return lambda name: load(catalog, settings, name)


def parquet_files(table):
    return {p.name for p in (local_path(table.location()) / "data").rglob("*.parquet")}


def referenced(table):
    return {Path(task.file.file_path).name for task in table.scan().plan_files()}


def test_flush_lands_in_all_three_tables(who, table_of):
    """Rows, dead letters and gaps are there once, stamped alike; the receipt says where."""
    receipt = commit(who, flush(span(0, 100), dead=(3, 7), events=((5, 0), (5, 1))))
    main = table_of(Name.TRADES)
    assert receipt.snapshot_id == main.current_snapshot().snapshot_id
    assert [o for o in range(100) if o not in {3, 7}] == offsets(main)
    assert offsets(table_of(Name.DEAD_LETTERS)) == [3, 7]
    assert offsets(table_of(Name.GAPS)) == [5, 5]
    for name in (Name.TRADES, Name.DEAD_LETTERS, Name.GAPS):
        rows = table_of(name).scan().to_arrow()
        assert {receipt.commit_id} == set(rows["commit_id"].to_pylist())
        assert {receipt.committed_at_us} == set(rows["committed_at"].cast(pa.int64()).to_pylist())


def test_floor_is_in_summary_property_and_receipt(who, table_of):
    """One transaction writes all; the origin stays where the first flush began."""
    commit(who, flush(span(40, 100)))
    receipt = commit(who, flush(span(100, 130, skipped=2)))
    table = table_of(Name.TRADES)
    summary = summary_of(table.current_snapshot())
    floor = PartitionFloor(130, Fingerprint(130, 130 % 7))
    assert floor == receipt.floors.get(LOG, TOPIC, 0) == who.floors().get(LOG, TOPIC, 0)
    assert receipt.floors.to_json() == summary[FLOOR] == table.properties[FLOOR]
    assert f'{{"{LOG}":{{"{TOPIC}":{{"0":40}}}}}}' == summary[ORIGIN] == table.properties[ORIGIN]
    assert f'{{"{LOG}":{{"{TOPIC}":{{"0":[100,130,2]}}}}}}' == summary[RANGE]
    counts = {k: int(v) for k, v in summary.items() if k.startswith("k2.count.")}
    assert (summary["k2.rows"], sum(counts.values())) == ("30", 30)


def test_flush_without_rows_moves_the_floor(who, table_of):
    """All records were dead letters: the floor passes them, no data file is written."""
    commit(who, flush(span(0, 2), dead=(0, 1)))
    assert who.floors().get(LOG, TOPIC, 0).next_offset == 2
    assert set() == parquet_files(table_of(Name.TRADES))
    assert table_of(Name.GAPS).current_snapshot() is None


def test_committing_the_same_flush_again_changes_nothing(who, table_of):
    """Every step is idempotent: what has landed is found by its id."""
    staged = who.stage(flush(span(0, 10), dead=(1,), events=((2, 0),)))
    for _ in range(2):
        who.commit_dead_letters(staged)
        who.commit_gaps(staged)
        receipt = who.commit_main(staged)
    assert receipt == who.commit_main(staged)
    assert [len(table_of(n).snapshots()) for n in (Name.TRADES, Name.DEAD_LETTERS, Name.GAPS)] == [1, 1, 1]


def test_writers_of_two_partitions_meet_and_both_land(catalog, settings, table_of):
    """The second finds the table moved, goes round, and keeps the first one's floor."""
    late = Interrupted(catalog, lambda: commit(writer(catalog, settings), flush(span(0, 20, partition=1))))
    commit(writer(late, settings), flush(span(0, 10)))
    table = table_of(Name.TRADES)
    assert (late.commits, len(table.snapshots())) == (2, 2)
    assert [floor_in_force(table.metadata).get(LOG, TOPIC, p).next_offset for p in (0, 1)] == [10, 20]
    assert [*range(10)] == offsets(table, partition=0)
    assert [*range(20)] == offsets(table, partition=1)
    assert completeness(table) == []


def test_conflict_leaves_no_manifest_behind(catalog, settings, table_of):
    """What the losing attempt wrote is deleted once another one has landed."""
    late = Interrupted(catalog, lambda: commit(writer(catalog, settings), flush(span(0, 20, partition=1))))
    commit(writer(late, settings), flush(span(0, 10)))
    table = table_of(Name.TRADES)
    kept = {s.manifest_list for s in table.snapshots()}
    kept |= {m.manifest_path for s in table.snapshots() for m in s.manifests(table.io)}
    avro = {p.name for p in (local_path(table.location()) / "metadata").glob("*.avro")}
    assert {Path(k).name for k in kept} == avro


class Interrupted(Faulty):
    """Lets somebody else commit just before its own first commit."""

    def __init__(self, catalog, somebody_else):
        super().__init__(catalog)
        self.somebody_else = [somebody_else]

    def commit_table(self, table, requirements, updates):
        if self.somebody_else:
            self.somebody_else.pop()()
        return super().commit_table(table, requirements, updates)


def test_two_processes_hold_rows_of_one_partition_and_one_is_fenced(settings, table_of):
    """Whoever commits second learns that the floor has moved; the rows are there once, its files are gone."""
    root = Path(k2app.__file__).parent.parent
    command = [
        sys.executable,
        "-m",
        "tests.pipeline.lake.fencing_process",
        str(settings.home),
        "0",
        "0",
        "50",
    ]
    with ExitStack() as both:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": root}
        pair = [both.enter_context(stopped(subprocess.Popen(command, **options))) for _ in range(2)]
        assert [process.stdout.readline() for process in pair] == ["staged\n"] * 2
        for process in pair:
            process.stdin.write("\n")
            process.stdin.flush()
        said = sorted(process.communicate(timeout=WITHIN_S)[0] for process in pair)
    assert [line.split()[0] for line in said] == ["committed", "fenced"]
    assert f"partition 0 of {TOPIC}" in said[1]
    assert [*range(1, 50)] == offsets(table_of(Name.TRADES))
    assert offsets(table_of(Name.DEAD_LETTERS)) == [0]
    for name in (Name.TRADES, Name.DEAD_LETTERS):
        assert referenced(table_of(name)) == parquet_files(table_of(name))


def test_fenced_flush_names_the_floor_and_leaves_no_file(catalog, settings, who, table_of):
    """What a fenced writer had staged is deleted; what it had read is void."""
    slow = writer(catalog, settings)
    staged = slow.stage(flush(span(0, 10)))
    commit(who, flush(span(0, 4)))
    with pytest.raises(FencedError, match="floor is 4, these rows start at 0"):
        slow.commit_main(staged)
    assert referenced(table_of(Name.TRADES)) == parquet_files(table_of(Name.TRADES))


def test_fenced_writer_adds_no_side_rows(catalog, settings, who, table_of):
    """A zombie finds out before its dead letters land, not after."""
    zombie = writer(catalog, settings)
    staged = zombie.stage(flush(span(0, 10), dead=(2,), events=((3, 0),)))
    commit(who, flush(span(0, 10)))
    for step in (zombie.commit_dead_letters, zombie.commit_gaps):
        with pytest.raises(FencedError):
            step(staged)
    assert table_of(Name.DEAD_LETTERS).current_snapshot() is None
    assert set() == parquet_files(table_of(Name.DEAD_LETTERS)) | parquet_files(table_of(Name.GAPS))


def test_fenced_after_its_dead_letters_landed_deletes_only_what_is_not_committed(
    catalog, settings, who, table_of
):
    """Committed side rows stay readable; the main rows' file goes."""
    slow = writer(catalog, settings)
    staged = slow.stage(flush(span(0, 10), dead=(2,)))
    slow.commit_dead_letters(staged)
    commit(who, flush(span(0, 10), dead=(2,)))
    with pytest.raises(FencedError):
        slow.commit_main(staged)
    assert offsets(table_of(Name.DEAD_LETTERS)) == [2]
    for name in (Name.TRADES, Name.DEAD_LETTERS):
        assert referenced(table_of(name)) == parquet_files(table_of(name))


def dead_letters_of_a_flush_cut_short(who):
    """One is in the lake: a flush that has it and more writes its file anew, without it."""
    who.commit_dead_letters(who.stage(flush(span(0, 10), dead=(2,))))


def test_fenced_after_what_was_left_of_its_dead_letters_landed_deletes_none_of_them(
    catalog, settings, who, table_of
):
    """The file that was written anew is the table's from then on."""
    dead_letters_of_a_flush_cut_short(who)
    slow = writer(catalog, settings)
    staged = slow.stage(flush(span(0, 20), dead=(2, 12)))
    slow.commit_dead_letters(staged)
    commit(who, flush(span(0, 10), dead=(2,)))
    with pytest.raises(FencedError):
        slow.commit_main(staged)
    assert offsets(table_of(Name.DEAD_LETTERS)) == [2, 12]
    assert referenced(table_of(Name.DEAD_LETTERS)) == parquet_files(table_of(Name.DEAD_LETTERS))


def test_fenced_after_what_was_left_of_its_dead_letters_may_have_landed_deletes_none_of_them(
    catalog, settings, who, table_of
):
    """As of any other commit in doubt."""
    dead_letters_of_a_flush_cut_short(who)
    doubtful = Faulty(catalog, (True, TimeoutError()), *[(False, TimeoutError())] * 99)
    slow = writer(doubtful, settings, pace=HOPELESS)
    staged = slow.stage(flush(span(0, 20), dead=(2, 12)))
    slow.commit_dead_letters(staged)
    commit(who, flush(span(0, 10), dead=(2,)))
    with pytest.raises(FencedError):
        slow.commit_main(staged)
    assert offsets(table_of(Name.DEAD_LETTERS)) == [2, 12]


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("landed", [True, False])
def test_unknown_outcome_is_resolved_to_exactly_one_commit(catalog, settings, table_of, error, landed):
    """Whether the commit landed before the error or not, the rows are there once and the caller gets its receipt."""
    doubtful = Faulty(catalog, (landed, error))
    receipt = writer(doubtful, settings).commit_main(writer(doubtful, settings).stage(flush(span(0, 10))))
    table = table_of(Name.TRADES)
    assert (1 if landed else 2) == doubtful.commits
    assert [receipt.snapshot_id] == [s.snapshot_id for s in table.snapshots()]
    assert [*range(10)] == offsets(table)


def test_conflict_with_itself_is_a_success(catalog, settings, table_of):
    """A request repeated on its way lands and is answered with a conflict: its manifests are not deleted."""
    repeated = Faulty(catalog, (True, CommitFailedException("main has changed")))
    commit(writer(repeated, settings), flush(span(0, 10)))
    assert [*range(10)] == offsets(table_of(Name.TRADES))
    assert repeated.commits == 1


def test_outcome_that_stays_unknown_is_reported_and_no_file_deleted(catalog, settings, table_of):
    """After the time is up the caller is told; the same call later finds out."""
    doubtful = Faulty(catalog, *[(False, TimeoutError())] * 99)
    who = writer(doubtful, settings, pace=HOPELESS)
    staged = who.stage(flush(span(0, 10)))
    with pytest.raises(CommitUnknownError, match=staged.flush.commit_id):
        who.commit_main(staged)
    assert len(parquet_files(table_of(Name.TRADES))) == 1
    doubtful.faults.clear()
    who.commit_main(staged)
    assert [*range(10)] == offsets(table_of(Name.TRADES))


def test_fenced_after_an_unknown_outcome_deletes_nothing(catalog, settings, who, table_of):
    """The files of an attempt in doubt stay, even when somebody else turns out to have won."""
    doubtful = Faulty(catalog, *[(False, TimeoutError())] * 99)
    slow = writer(doubtful, settings, pace=HOPELESS)
    staged = slow.stage(flush(span(0, 10)))
    with pytest.raises(CommitUnknownError):
        slow.commit_main(staged)
    commit(who, flush(span(0, 10)))
    with pytest.raises(FencedError):
        slow.commit_main(staged)
    assert len(parquet_files(table_of(Name.TRADES))) == 2
    assert [*range(10)] == offsets(table_of(Name.TRADES))


def test_endless_conflicts_are_transient(catalog, settings, table_of):
    """Nothing has landed, and the same call may be repeated."""
    busy = Faulty(catalog, *[(False, CommitFailedException("moved"))] * 9_999)
    # So long that a machine that is busy with other things gets to a third attempt too.
    who = writer(busy, settings, pace=replace(HOPELESS, within_s=5.0))
    staged = who.stage(flush(span(0, 10)))
    with pytest.raises(TransientError, match="others were faster"):
        who.commit_main(staged)
    assert busy.commits > 2
    busy.faults.clear()
    who.commit_main(staged)
    assert [*range(10)] == offsets(table_of(Name.TRADES))


def test_crash_between_side_tables_and_main_repeats_no_side_row(catalog, settings, who, table_of):
    """The flush is read again, with more behind it: what the side tables have is not added again."""
    cut_short = flush(span(0, 10), dead=(3, 4), events=((5, 0), (5, 1)))
    staged = who.stage(cut_short)
    who.commit_dead_letters(staged)
    who.commit_gaps(staged)
    again = writer(catalog, settings)
    commit(again, flush(span(0, 20), dead=(3, 4, 12), events=((5, 0), (5, 1), (15, 0))))
    assert offsets(table_of(Name.DEAD_LETTERS)) == [3, 4, 12]
    assert offsets(table_of(Name.GAPS)) == [5, 5, 15]
    assert completeness(table_of(Name.TRADES)) == []
    for name in (Name.DEAD_LETTERS, Name.GAPS):
        # the files of the cut-short flush are committed; the second one's were rewritten without the known rows
        assert referenced(table_of(name)) == parquet_files(table_of(name))


def test_crash_then_nothing_new_commits_nothing_to_the_side(catalog, settings, who, table_of):
    """All side rows are known: no snapshot for them."""
    cut_short = flush(span(0, 10), dead=(3,), events=((5, 0),))
    staged = who.stage(cut_short)
    who.commit_dead_letters(staged)
    who.commit_gaps(staged)
    commit(writer(catalog, settings), flush(span(0, 10), dead=(3,), events=((5, 0),)))
    assert [len(table_of(n).snapshots()) for n in (Name.DEAD_LETTERS, Name.GAPS)] == [1, 1]


def test_changed_verdict_between_two_attempts(catalog, settings, who, table_of):
    """An upgrade fails where the old program decoded: the new dead letter is added; the old one stays, and is told."""
    staged = who.stage(flush(span(0, 10), dead=(3,)))
    who.commit_dead_letters(staged)
    upgraded = writer(catalog, settings)
    assert {3} == upgraded.dead_lettered(LOG, TOPIC, 0, 0)
    assert set() == upgraded.dead_lettered(LOG, TOPIC, 0, 4)
    assert set() == upgraded.dead_lettered(LOG, TOPIC, 1, 0)
    commit(upgraded, flush(span(0, 10), dead=(3, 6)))
    assert offsets(table_of(Name.DEAD_LETTERS)) == [3, 6]
    assert set() == upgraded.dead_lettered(LOG, TOPIC, 0, 10)


def test_side_tables_keep_the_floors_of_other_topics(catalog, settings, who, table_of):
    """Trades and quotes share the dead letters; neither's floor is lost."""
    commit(who, flush(span(0, 10), dead=(1,)))
    quotes = "market.equities.quotes.asx"
    other = writer(catalog, settings, Name.QUOTES)
    r = span(0, 5, topic=quotes)
    commit(other, Flush("q", LOG, quote_rows(), dead_letters([2], topic=quotes), gaps([]), (r,)))
    floors = floor_in_force(table_of(Name.DEAD_LETTERS).metadata)
    assert [floors.get(LOG, t, 0).next_offset for t in (TOPIC, quotes)] == [10, 5]


def quote_rows():
    """No quotes, with a quote's columns."""
    rows = trades(0).drop_columns(["price", "quantity", "side", "trade_id"])
    for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity"):
        rows = rows.append_column(name, pa.array([], pa.decimal128(18, 8)))
    return rows


def test_snapshot_without_rows_carries_the_floor_on(who, table_of):
    """What compaction commits keeps floor, origin and completeness."""
    commit(who, flush(span(0, 10)))
    table = table_of(Name.TRADES)
    compact(table, carried(table.metadata))
    commit(who, flush(span(10, 20)))
    table = table_of(Name.TRADES)
    assert [s["operation"] for s in snapshots(table)] == ["append", "delete", "append", "append"]
    assert [*range(20)] == offsets(table)
    assert completeness(table) == []


def test_floor_is_found_behind_a_snapshot_that_has_none(who, table_of):
    """Another program's snapshot hides nothing; a stale property does not count."""
    commit(who, flush(span(0, 10)))
    table = table_of(Name.TRADES)
    compact(table, {})
    with table.transaction() as transaction:
        transaction.set_properties({FLOOR: "{}"})
    assert who.floors().get(LOG, TOPIC, 0).next_offset == 10
    with pytest.raises(FencedError):
        who.commit_main(who.stage(flush(span(0, 5))))


def test_floor_is_found_in_the_property_when_no_snapshot_has_one(who, table_of):
    """The last resort: every snapshot that carried a floor has expired."""
    commit(who, flush(span(0, 10)))
    table = table_of(Name.TRADES)
    ours = table.current_snapshot().snapshot_id
    compact(table, {})
    table.maintenance.expire_snapshots().by_id(ours).commit()
    assert who.floors().get(LOG, TOPIC, 0).next_offset == 10


def compact(table, properties):
    """Rewrite the table's rows as another program would, with these summary properties."""
    table.overwrite(table.scan().to_arrow(), snapshot_properties=properties)


def test_hole_that_was_given_up_is_recorded_for_good(who, table_of):
    """Only a declared hole passes; it stays listed in every later snapshot."""
    commit(who, flush(span(0, 10)))
    staged = who.stage(flush(span(15, 20)))
    with pytest.raises(FencedError, match="floor is 10, these rows start at 15"):
        who.commit_main(staged)
    commit(who, flush(span(15, 20, hole=(10, 15))))
    commit(who, flush(span(20, 25)))
    table = table_of(Name.TRADES)
    assert f'{{"{LOG}":{{"{TOPIC}":{{"0":[[10,15]]}}}}}}' == summary_of(table.current_snapshot())[HOLE]
    assert completeness(table) == []


def test_one_commit_takes_many_partitions(who, table_of):
    """However many partitions a flush covers, it is one snapshot; one off its floor stops all."""
    commit(who, flush(span(0, 10), span(5, 6, partition=1), span(7, 8, partition=2)))
    assert len(table_of(Name.TRADES).snapshots()) == 1
    assert [who.floors().get(LOG, TOPIC, p).next_offset for p in range(3)] == [10, 6, 8]
    with pytest.raises(FencedError, match="partition 1 "):
        commit(who, flush(span(10, 12), span(5, 7, partition=1)))
    assert [*range(10)] == offsets(table_of(Name.TRADES))


@pytest.mark.parametrize(
    "ranges", [(), (span(0, 1), span(1, 2)), (span(0, 1, log_id="other"), span(0, 1, partition=1))]
)
def test_flush_that_makes_no_sense_is_refused(ranges):
    """No ranges, one partition twice, or two logs."""
    with pytest.raises(ValueError, match="a flush"):
        Flush("id", LOG, trades(0), dead_letters([]), gaps([]), ranges)


def test_rows_carry_the_time_of_the_writers_clock(who):
    """Knowledge time comes from the clock handed in."""
    receipt = commit(who, flush(span(0, 1)))
    assert receipt.committed_at_us == MONDAY_US


def test_writers_that_take_turns_do_not_conflict(catalog, settings):
    """Each commits a partition of its own, over and over, all at once: nobody has to try again."""
    turns, steps = Turns(settings.catalog_uri, wait_s=60.0), []
    failures = []

    def work(partition):
        who = Writer(
            catalog,
            settings,
            Name.TRADES,
            lambda: MONDAY_US,
            turns=turns,
            watch=lambda _, step: steps.append(step),
        )
        try:
            for at in range(0, 30, 10):
                dead = (at,)
                commit(who, flush(span(at, at + 10, partition=partition), dead=dead, events=((at + 1, 0),)))
        except Exception as error:  # noqa: BLE001 - the top of a thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(partition,)) for partition in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [] == failures
    assert ["attempt"] * 27 == steps
