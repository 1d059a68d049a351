from __future__ import annotations

from pathlib import Path

import pytest

from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.fileio import DurableFileIO, local_path
from k2app.lake.floors import lineage_of
from k2app.lake.tables import Name
from k2app.settings import LakeSettings, Settings
from tests.lake_flushes import Faulty, commit, flush, span, writer

SYNCED = set()
"""Files and folders that `Recorder` has seen synced, in this process."""


class Recorder(DurableFileIO):
    """Notes what is synced. The catalog makes these itself, so that the notes are the module's."""

    def sync_file(self, file):
        super().sync_file(file)
        SYNCED.add(Path(file.name).name.removeprefix(".").rsplit(".", 2)[0])

    def sync_folder(self, folder):
        super().sync_folder(folder)
        SYNCED.add(folder)


class Careful(Faulty):
    """Checks at the commit itself that whatever it refers to is on disk."""

    def commit_table(self, table, requirements, updates):
        for file in [Path(p) for p in written_under(local_path(table.location()))]:
            assert file.name in SYNCED
            assert file.parent in SYNCED
            assert not {level for level in file.parents if level.is_relative_to(self.root)} - SYNCED
        return super().commit_table(table, requirements, updates)


def written_under(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


def test_every_file_and_folder_is_synced_before_the_commit_refers_to_it(tmp_path):
    """Data, manifests, manifest list; their folders; and the folders' folders."""
    properties = {"py-io-impl": f"{__name__}.Recorder"}
    settings = Settings(home=tmp_path, lake=LakeSettings(properties=properties))
    with open_catalog(settings) as plain, Careful(plain) as careful:
        create_tables(plain, settings)
        careful.root = tmp_path / "warehouse"
        for start in (0, 10):
            commit(writer(careful, settings), flush(span(start, start + 10), dead=(start,)))
        table = load(careful, settings, Name.TRADES)
    assert len(list(lineage_of(table.metadata))) == 2
    assert local_path(table.metadata_location).name in SYNCED


def test_overwrite_is_atomic(tmp_path):
    """Until the new file is complete, readers see the old one; a failed one leaves it and no rest."""
    output = DurableFileIO().new_output(f"file://{tmp_path}/a/b/file")
    with output.create() as stream:
        stream.write(b"old")
    with output.create(overwrite=True) as stream:
        stream.write(b"new")
        stream.flush()
        assert output.to_input_file().open().read() == b"old"
    assert output.to_input_file().open().read() == b"new"
    with pytest.raises(TypeError, match="bytes-like"), output.create(overwrite=True) as stream:
        stream.write("half")
    assert output.to_input_file().open().read() == b"new"
    assert [p.name for p in (tmp_path / "a/b").iterdir()] == ["file"]


def test_existing_file_is_not_overwritten_unasked(tmp_path):
    """Metadata files are created, never replaced."""
    output = DurableFileIO().new_output(str(tmp_path / "file"))
    output.create().close()
    with pytest.raises(FileExistsError, match="exists already"):
        output.create()
    assert (len(output), output.exists()) == (0, True)


def test_deleting(tmp_path):
    """A file goes; a missing one is an error, as pyiceberg expects."""
    file_io = DurableFileIO()
    output = file_io.new_output(f"file://{tmp_path}/file")
    output.create().close()
    file_io.delete(output)
    assert not output.exists()
    with pytest.raises(FileNotFoundError):
        file_io.delete(output.location)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("file:///a b/c%20d#e?f", "/a b/c%20d#e?f"),
        ("file:/a/b", "/a/b"),
        ("/a/b", "/a/b"),
        ("s3://bucket/a", None),
    ],
)
def test_locations_are_literal(location, path):
    """A location is a path as it stands, whatever characters are in it."""
    assert (None if path is None else Path(path)) == local_path(location)
