"""Which disks a worker looks at, and when it stops."""

from pathlib import Path

from k2app.ingest.disk import DiskGuard, folders, free_bytes
from k2app.settings import Settings


def test_folders_that_are_written_to(tmp_path):
    """The home, and a log and a warehouse on this machine, wherever they are; what is elsewhere has no disk here."""
    home = Settings(home=tmp_path)
    assert [tmp_path] == folders(home)
    log, lake = {"url": f"sqlite:///{tmp_path}/other/log.db"}, {"warehouse": f"file://{tmp_path}/lake"}
    assert [tmp_path, tmp_path / "other", tmp_path / "lake"] == folders(
        Settings(home=tmp_path, log=log, lake=lake)
    )
    remote = Settings(home=tmp_path, log={"url": "kafka://k:9092"}, lake={"warehouse": "s3://bucket/lake"})
    assert [tmp_path] == folders(remote)


def test_guard_stops_below_the_limit_and_goes_on_well_above(tmp_path):
    """Each folder is told by name."""
    free = {tmp_path: 100, Path("/lake"): 100}
    guard = DiskGuard(list(free), 100, free.__getitem__)
    told = []
    for amount in (100, 99, 105, 109, 111):
        free[Path("/lake")] = amount
        free[tmp_path] = 1_000
        guard.look()
        told.append(guard.trouble is not None)
    assert [False, True, True, True, False] == told
    free[Path("/lake")] = 3
    guard.look()
    assert guard.trouble.startswith(
        "the disk of /lake has 3 bytes free, K2_DISK_MIN_FREE_BYTES leaves 100 alone"
    )
    assert str(tmp_path) not in guard.trouble


def test_disk_that_cannot_be_looked_at_stops_it(tmp_path):
    """A volume that is gone would take the rows with it."""
    guard = DiskGuard([tmp_path, tmp_path / "gone"], 1)
    guard.look()
    assert f"{tmp_path / 'gone'} cannot be looked at" in guard.trouble
    assert {tmp_path} == set(guard.free_bytes)
    assert free_bytes(tmp_path) > 0


def test_no_limit_never_stops_it(tmp_path):
    """K2_DISK_MIN_FREE_BYTES=0."""
    guard = DiskGuard([tmp_path, tmp_path / "gone"], 0)
    guard.look()
    assert guard.trouble is None
