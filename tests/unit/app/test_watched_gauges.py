"""Gauges that are looked at every few seconds: how old they are, and that none stands for what is gone."""

import asyncio
import shutil
import time

from prometheus_client import CollectorRegistry

from k2app.metrics import LakeMetrics, ProcessMetrics, Series
from k2app.sizes import look_at_disks
from k2app.watch import Watch

WITHIN_S = 30.0
"""Deadline of what is waited for: far above what it takes."""

EVERY_S = 0.01


async def test_age_of_what_is_looked_at_is_told():
    """A look that fails, or never comes back, leaves its time as it was: at first when the process began."""
    registry = CollectorRegistry()
    failed, hangs, begun_s = [], asyncio.Event(), time.time()

    async def fail():
        failed.append(looked("disks"))
        raise OSError("the disk does not answer")

    async def work():
        pass

    def looked(what):
        return registry.get_sample_value("k2_look_timestamp_seconds", {"what": what})

    watch = Watch(ProcessMetrics(registry), {"disks": fail, "log": hangs.wait, "tables": work}, EVERY_S)
    watch.start()
    try:
        first_s = looked("disks")
        assert begun_s <= first_s <= time.time()
        async with asyncio.timeout(WITHIN_S):
            while len(failed) < 3 or looked("tables") <= max(looked("disks"), looked("log")):  # noqa: ASYNC110 - a gauge tells nobody
                await asyncio.sleep(EVERY_S)
        assert {first_s} == {*failed, looked("disks")}
        assert begun_s <= looked("log") < looked("tables")
    finally:
        await watch.stop()


def test_free_space_is_told_of_folders_that_are_there(tmp_path):
    """Of one that is gone it is not, rather than as it was; of one that comes back it is again."""
    registry = CollectorRegistry()
    free = Series(LakeMetrics(registry).disk_free)
    places = {"home": tmp_path, "warehouse": tmp_path / "warehouse"}

    def shown():
        look_at_disks(places, free)
        return {
            place for place in places if registry.get_sample_value("k2_disk_free_bytes", {"place": place})
        }

    assert {"home"} == shown()
    places["warehouse"].mkdir()
    assert {"home", "warehouse"} == shown()
    shutil.rmtree(places["warehouse"])
    assert {"home"} == shown()
    places["warehouse"].mkdir()
    assert {"home", "warehouse"} == shown()
