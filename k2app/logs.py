"""Structured log lines: one form for ours, Faust's and every library's, on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog

from k2app import tracing
from k2app.log_repeats import Repeats
from k2app.passwords import without_passwords
from k2app.settings import LogsSettings

LIBRARIES = ("faust", "mode", "aiokafka", "pyiceberg", "schema_registry", "httpx", "asyncio")
"""Loggers of libraries that narrate what they do: their warnings are ours, their stories only at level debug."""

FAUST_LOGGER = logging.getLogger("faust.k2")
"""Logger of our subclasses of Faust's services, which narrate every start and stop."""


def configure(settings: LogsSettings) -> None:
    """Route structlog and the standard library's loggers to standard error in the chosen form.

    Idempotent: it replaces the root handlers. Standard output stays free for results.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(_library_level(settings.level.upper()))
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level.upper())),
        cache_logger_on_first_use=False,
    )


def _library_level(level: str) -> int:
    return logging.DEBUG if level == "DEBUG" else max(logging.WARNING, logging.getLevelName(level))


def formatter(settings: LogsSettings) -> logging.Formatter:
    """Make the formatter that every handler of the process shares."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    exceptions = [structlog.processors.format_exc_info] if settings.format == "json" else []
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *exceptions,
            lambda logger, name, line: without_passwords(renderer(logger, name, line)),
        ],
    )


def faust_config(settings: LogsSettings) -> dict[str, Any]:
    """Logging set-up for Faust's own command line, which replaces the root handlers by what this says."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"repeats": {"()": Repeats}},
        "formatters": {"k2": {"()": formatter, "settings": settings}},
        "handlers": {
            "k2": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "k2",
                "filters": ["repeats"],
            }
        },
        "root": {"level": settings.level.upper(), "handlers": ["k2"]},
    }


def correlated(**ids: str) -> AbstractContextManager[None]:
    """Let every line carry these ids, from here on to the end of the block: on its tasks and threads, too.

    `asyncio.to_thread` and tasks take them along; threads of a pool have to be handed `contextvars.copy_context()`.
    """
    return structlog.contextvars.bound_contextvars(**ids)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Logger named `name`; binds what the current context holds (correlation ids)."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def _add_trace(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the ids of the trace that the line belongs to, if there is one."""
    line.update(tracing.current_ids())
    return line


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
