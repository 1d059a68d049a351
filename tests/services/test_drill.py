"""Two scenes of `make drill`: a full disk, and messages that nobody can read."""

from tests.services.drill.alarm import alarm
from tests.services.drill.faults import FAULTS
from tests.services.drill.play import play, settle
from tests.services.drill.stage import stage

SHORT = ("disk full", "poison messages")


def test_each_fault_is_told_by_an_alert_and_recovered_from(tmp_path):
    """A Prometheus with our rules sees it; when its cause is gone, the worker goes on, and no record is missing."""
    faults = {fault.name: fault for fault in FAULTS}
    with stage(tmp_path) as at_work, alarm(tmp_path / "prometheus", at_work.port) as watch:
        scenes = [play(at_work, watch, faults[name]) for name in SHORT]
        problems = [problem for scene in scenes for problem in scene.problems] + settle(at_work)
    assert [] == problems
    assert all(scene.alert in faults[scene.fault].alerts for scene in scenes)
