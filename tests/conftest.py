"""What holds for every test."""

import gc
import logging
import os

import pytest
import structlog
from hypothesis import HealthCheck, settings

from k2app.logs import LIBRARIES

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


@pytest.fixture(scope="session")
def _loggers_at_first():
    """Levels and handlers of the loggers that K2 sets up, before the first test does."""
    loggers = [logging.getLogger(name) for name in (None, *LIBRARIES)]
    return [(logger, logger.level, list(logger.handlers)) for logger in loggers]


@pytest.fixture(autouse=True)
def _logs_as_at_first(_loggers_at_first):
    """Undo what a command in this process sets up: the next test would miss lines."""
    yield
    for logger, level, handlers in _loggers_at_first:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    if structlog.is_configured():
        structlog.reset_defaults()
