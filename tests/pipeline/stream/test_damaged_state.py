"""RocksDB folders that are not what was written: a cache is rebuilt, not mourned."""

import pytest

from k2app.lake.tables import Name
from tests.pipeline.homes import TRADES, counting, trades
from tests.pipeline.stream.running import flushed_all, running


def overwrite(file):
    file.write_bytes(b"garbage" * 50)


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 4] ^= 0xFF
    file.write_bytes(bytes(data))


DAMAGES = {
    "no manifest": ("MANIFEST-*", lambda file: file.unlink()),
    "garbage for a manifest": ("MANIFEST-*", overwrite),
    "no pointer to it": ("CURRENT", lambda file: file.unlink()),
    "a flipped bit in the data": ("*.sst", flip),
}


async def filled(home):
    """Ingest a few rows; the folders of the partitions that have states then."""
    async with running(home) as app:
        await flushed_all(app)
        for db in app.tables[f"{TRADES}-sequences"].data._dbs.values():
            db.flush()
    folders = home.path.glob(f"state/**/{TRADES}-sequences-*.db")
    return [folder for folder in folders if any(folder.glob("*.sst"))]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_state_folder_is_set_aside_and_rebuilt(home, capfd, damage):
    """Sequences go on where they were: no row is flagged `first` again, and the folder stays for whoever asks."""
    home.publish(trades(counting(3, 20)))
    folders = await filled(home)
    assert folders
    pattern, spoil = DAMAGES[damage]
    for folder in folders:
        for file in folder.glob(pattern):
            spoil(file)
    home.publish(trades(counting(3, 20, first=21)))
    capfd.readouterr()
    async with running(home) as app:
        await flushed_all(app)
    said = "".join(capfd.readouterr())
    for folder in folders:
        assert folder.with_name(f"{folder.name}.damaged").is_dir()
        assert f"{folder.name}.damaged" in said
        assert any(folder.glob("MANIFEST-*"))
    flags = [row["sequence_flag"] for row in home.rows(Name.TRADES)]
    assert (3, 117) == (flags.count("first"), flags.count("ok"))


async def test_a_folder_damaged_twice_is_kept_twice(home):
    """The second does not overwrite the first."""
    home.publish(trades(counting(1, 5)))
    for kept in (".damaged", ".damaged-1"):
        [folder] = await filled(home)
        (folder / "CURRENT").unlink()
        async with running(home) as app:
            await flushed_all(app)
        assert folder.with_name(folder.name + kept).is_dir()
        home.publish(trades(counting(1, 5, first=100)))
