from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
from pyiceberg.manifest import ManifestContent, ManifestFile, write_manifest_list
from pyiceberg.table.metadata import TableMetadata

from k2app.errors import OperatorError, TransientError
from k2app.lake.catalog import REST_TIMEOUT_PROPERTY, check_readable, create_tables, load, open_catalog
from k2app.lake.tables import FORMAT_PROPERTY, SPECS, Name
from k2app.settings import LakeSettings, Settings
from tests.lake_flushes import commit, flush, span, writer
from tests.processes import WITHIN_S, stopped

RULE = "k2.sequence-rule.asx"


def test_created_tables_are_those_of_the_specs(catalog, settings):
    """Schema, field ids, partitioning and sort order are read back as they were written down."""
    for name, spec in SPECS.items():
        table = load(catalog, settings, name)
        assert spec.schema.as_struct() == table.schema().as_struct()
        assert (spec.partition, spec.sort) == (table.spec(), table.sort_order())


def test_field_ids_of_a_new_table_are_fixed(catalog, settings):
    """A column that moved would show here: old snapshots refer to these numbers."""
    ids = {f.name: f.field_id for f in load(catalog, settings, Name.TRADES).schema().fields}
    assert [
        ids[n] for n in ("symbol", "timestamp", "sequence", "sequence_flag", "committed_at", "offset")
    ] == [1, 4, 11, 16, 19, 24]


def test_creating_twice_creates_nothing(settings):
    """`k2 init` may be run again at any time, and adds a new exchange's rule."""
    with open_catalog(settings) as catalog:
        assert [str(n) for n in SPECS] == create_tables(
            catalog, settings, {Name.TRADES: {RULE: "contiguous"}}
        )
        more = {Name.TRADES: {RULE: "contiguous", "k2.sequence-rule.binance": "increasing"}}
        assert create_tables(catalog, settings, more) == []
        properties = load(catalog, settings, Name.TRADES).properties
        assert [properties[key] for key in more[Name.TRADES]] == ["contiguous", "increasing"]


def test_changed_sequence_rule_is_refused(settings):
    """The pinned rule wins, and the message says what to do."""
    with open_catalog(settings) as catalog:
        create_tables(catalog, settings, {Name.QUOTES: {RULE: "contiguous"}})
        with pytest.raises(
            OperatorError, match=r"quotes: k2.sequence-rule.asx is pinned as 'contiguous'.*K2_LAKE"
        ):
            create_tables(catalog, settings, {Name.QUOTES: {RULE: "increasing"}})
        assert load(catalog, settings, Name.QUOTES).properties[RULE] == "contiguous"


def test_two_processes_create_the_tables_at_once(settings):
    """Every table is created by exactly one of them."""
    code = (
        "import sys; from pathlib import Path;"
        "from k2app.settings import Settings; from k2app.lake import catalog as c;"
        "s = Settings(home=Path(sys.argv[1])); sys.stdin.readline();"
        "print(*c.create_tables(c.open_catalog(s), s))"
    )
    command = [sys.executable, "-c", code, str(settings.home)]
    with ExitStack() as both:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        pair = [both.enter_context(stopped(subprocess.Popen(command, **options))) for _ in range(2)]
        for process in pair:
            process.stdin.write("\n")
            process.stdin.flush()
        created = [process.communicate(timeout=WITHIN_S)[0].split() for process in pair]
    assert sorted(SPECS) == sorted(created[0] + created[1])


def test_missing_table_names_the_command(settings):
    """A lake that was never set up says how to."""
    with (
        open_catalog(settings) as catalog,
        pytest.raises(OperatorError, match="trades does not exist: run `k2 init`"),
    ):
        load(catalog, settings, Name.TRADES)


def test_table_of_another_format_is_refused(catalog, settings):
    """An older program does not write a newer one's table."""
    with load(catalog, settings, Name.TRADES).transaction() as transaction:
        transaction.set_properties({FORMAT_PROPERTY: "2"})
    with pytest.raises(OperatorError, match=r"k2.format = 2"):
        load(catalog, settings, Name.TRADES)


def test_metadata_file_that_is_gone_needs_a_person(catalog, settings):
    """Waiting would not bring it back."""
    table = load(catalog, settings, Name.TRADES)
    table.io.delete(table.metadata_location)
    with pytest.raises(OperatorError, match="restore the warehouse"):
        load(catalog, settings, Name.TRADES)


def test_sqlite_commits_are_durable_and_readers_do_not_wait(catalog):
    """Write-ahead log, full sync, and patience with another process's write."""
    with catalog.engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {p}").scalar()
            for p in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == ["wal", 2, 30_000]


def test_catalog_that_refuses_connections_is_transient(tmp_path):
    """Nothing listens: try later."""
    lake = LakeSettings(uri="http://127.0.0.1:9", warehouse="w")
    with pytest.raises(TransientError, match=r"127.0.0.1:9 does not answer"):
        open_catalog(Settings(home=tmp_path, lake=lake))


def test_password_of_a_rest_catalog_is_not_told(tmp_path):
    """A worker that waits for it tells anybody who asks for its health what it waits for."""
    lake = LakeSettings(uri="http://bob:hunter2@127.0.0.1:9/cat", warehouse="w")
    with pytest.raises(TransientError, match=r"catalog http://bob:\*\*\*@127.0.0.1:9/cat does not") as told:
        open_catalog(Settings(home=tmp_path, lake=lake))
    assert "hunter2" not in str(told.value)


def test_catalog_of_no_known_kind_needs_a_person(tmp_path):
    """The message says which there are, and shows no password."""
    lake = LakeSettings(uri="mysql://user:s3cret@host/db")
    with pytest.raises(OperatorError, match=r"mysql://user:\*\*\*@host/db is none of sqlite"):
        open_catalog(Settings(home=tmp_path, lake=lake))


def test_catalog_that_accepts_and_never_answers_times_out(tmp_path):
    """Pyiceberg would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        lake = LakeSettings(uri=uri, properties={REST_TIMEOUT_PROPERTY: "0.1"})
        with pytest.raises(TransientError, match=r"does not answer.*timed out"):
            open_catalog(Settings(home=tmp_path, lake=lake))


def test_snapshot_with_delete_files_is_refused(catalog, settings):
    """Reading past another engine's delete files would bring back what it deleted."""
    commit(writer(catalog, settings), flush(span(0, 10)))
    table = load(catalog, settings, Name.TRADES)
    ours = table.current_snapshot()
    check_readable(table, ours)
    with pytest.raises(OperatorError, match="has delete files"):
        check_readable(table, with_deletes(table, ours))


def with_deletes(table, snapshot):
    """The same snapshot with its manifests as delete manifests."""
    location = f"{table.location()}/metadata/deletes.avro"
    with write_manifest_list(2, table.io.new_output(location), 1, None, 9, "null") as manifests:
        manifests.add_manifests([as_deletes(m) for m in snapshot.manifests(table.io)])
    return snapshot.model_copy(update={"manifest_list": location})


def as_deletes(manifest):
    names = [f.name for f in manifest_fields()]
    values = {name: getattr(manifest, name) for name in names if hasattr(manifest, name)}
    # pyiceberg keeps manifests by path, hence another one
    other = {"manifest_path": f"{manifest.manifest_path}-deletes", "content": ManifestContent.DELETES}
    return ManifestFile.from_args(**values | other)


def manifest_fields():
    from pyiceberg.manifest import MANIFEST_LIST_FILE_SCHEMAS  # noqa: PLC0415 - used here alone

    return MANIFEST_LIST_FILE_SCHEMAS[2].fields


def test_metadata_is_plain_iceberg(catalog, settings):
    """Another program reads the metadata file without knowing K2."""
    table = load(catalog, settings, Name.GAPS)
    with table.io.new_input(table.metadata_location).open() as stream:
        read = stream.read()
    from pyiceberg.table.metadata import TableMetadataUtil  # noqa: PLC0415 - used here alone

    metadata: TableMetadata = TableMetadataUtil.parse_raw(read.decode())
    assert table.metadata == metadata
