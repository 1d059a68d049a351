"""Exactly-once commits through PostgreSQL and a REST catalog: writers in each other's way, answers that get lost."""

import threading
from contextlib import closing, contextmanager

import pytest

from k2app.errors import FencedError
from k2app.lake.audit import completeness
from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.commit import Pace
from k2app.lake.tables import SPECS, Name
from k2app.settings import LakeSettings, S3Settings, Settings
from tests.lake_flushes import commit, flush, offsets, span, writer
from tests.services.lakes.homes import on_rest
from tests.services.lakes.relay import relay

PATIENT = Pace(within_s=120.0, first_wait_s=0.02, longest_wait_s=0.5, jitter_s=0.05)

FLUSHES, ROWS = 6, 20


@pytest.fixture
def settings(lake, tmp_path):
    """Settings of a new lake, with tables."""
    found = settings_of(lake, tmp_path)
    with open_catalog(found) as catalog:
        assert [str(name) for name in SPECS] == create_tables(catalog, found)
    return found


def settings_of(lake, home) -> Settings:
    """As the variables say."""
    given = {"LAKE": {}, "S3": {}}
    for name, value in lake.items():
        _, group, leaf = name.split("_", 2)
        given[group][leaf.lower()] = value
    return Settings(home=home, lake=LakeSettings(**given["LAKE"]), s3=S3Settings(**given["S3"]))


@contextmanager
def opened(settings):
    with closing(open_catalog(settings)) as catalog:
        yield catalog


def test_two_writers_at_once_commit_everything_once(settings):
    """Each of its own partition: conflicts are told from failures, and go round until all is in."""
    failed = []

    def write(partition: int) -> None:
        try:
            with opened(settings) as catalog:
                who = writer(catalog, settings, pace=PATIENT)
                for n in range(FLUSHES):
                    what = flush(
                        span(ROWS * n, ROWS * (n + 1), partition=partition),
                        dead=[ROWS * n],
                        events=[(ROWS * n + 1, 0)],
                    )
                    commit(who, what)
        except BaseException as error:  # noqa: BLE001 - of another thread; told below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(partition,)) for partition in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed
    with opened(settings) as catalog:
        table = load(catalog, settings, Name.TRADES)
        assert 2 * FLUSHES == len(table.snapshots())
        kept = [o for o in range(FLUSHES * ROWS) if o % ROWS]
        assert [kept, kept] == [offsets(table, partition=p) for p in range(2)]
        assert [] == completeness(table)
        letters = load(catalog, settings, Name.DEAD_LETTERS)
        assert sorted(2 * [ROWS * n for n in range(FLUSHES)]) == offsets(letters)


def test_second_writer_of_a_range_is_fenced(settings):
    """Two workers that believe in the same partition: one commits, the other learns it and leaves nothing."""
    with opened(settings) as first, opened(settings) as second:
        late = writer(second, settings, pace=PATIENT)
        staged = late.stage(flush(span(0, ROWS)))
        commit(writer(first, settings, pace=PATIENT), flush(span(0, ROWS)))
        with pytest.raises(FencedError):
            late.commit_main(staged)
        table = load(first, settings, Name.TRADES)
        assert list(range(ROWS)) == offsets(table)
        files = [task.file.file_path for task in table.scan().plan_files()]
        assert 1 == len(files)


def test_processes_create_the_tables_at_once(lake, tmp_path):
    """Every table is made by exactly one of them."""
    settings = settings_of(lake, tmp_path)
    made, failed = [], []

    def create() -> None:
        try:
            with opened(settings) as catalog:
                made.extend(map(str, create_tables(catalog, settings)))
        except BaseException as error:  # noqa: BLE001 - of another thread; told below
            failed.append(error)

    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed
    assert sorted(SPECS) == sorted(made)


def test_lost_answer_to_a_commit_is_one_snapshot(rest, storage, tmp_path):
    """The catalog has committed and its answer is gone: the writer looks, finds its commit, and adds nothing."""
    lake = on_rest(storage, rest)
    with relay(rest.port) as between:
        settings = settings_of(lake | {"K2_LAKE_URI": rest.at(between.port).uri}, tmp_path)
        with opened(settings) as catalog:
            create_tables(catalog, settings)
            who = writer(catalog, settings, pace=PATIENT)
            commit(who, flush(span(0, ROWS)))
            staged = who.stage(flush(span(ROWS, 2 * ROWS), dead=[ROWS], events=[(ROWS + 1, 0)]))
            for step, name in (
                (who.commit_dead_letters, Name.DEAD_LETTERS),
                (who.commit_gaps, Name.GAPS),
                (who.commit_main, Name.TRADES),
            ):
                between.swallow(f"POST /v1/namespaces/{settings.lake.namespace}/tables/{name} ")
                before = between.swallowed
                step(staged)
                assert before + 1 == between.swallowed
    with opened(settings_of(lake, tmp_path)) as catalog:
        table = load(catalog, settings, Name.TRADES)
        assert 2 == len(table.snapshots())
        assert [*range(ROWS), *range(ROWS + 1, 2 * ROWS)] == offsets(table)
        assert [] == completeness(table)
        assert [ROWS] == offsets(load(catalog, settings, Name.DEAD_LETTERS))
        assert [ROWS + 1] == offsets(load(catalog, settings, Name.GAPS))
