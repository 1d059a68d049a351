"""What holds for every test."""

import gc
import os

from hypothesis import HealthCheck, settings

# No test depends on speed: a busy machine must not fail one.
settings.register_profile("k2", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("k2")

# Tests start many worker processes: each would compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish():
    """Let nobody look for garbage among what is there now: modules and tests stay to the end.

    Faust does at every start and stop of an app, once per table.
    """
    gc.freeze()
