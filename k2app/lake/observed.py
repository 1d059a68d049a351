"""Requests to a catalog, observed: how long each took, and whether it was answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)

Observe = Callable[[str, float, bool], None]
"""Hears of a request: operation, seconds, whether it failed."""

OPERATIONS: Final = (
    "load_table",
    "commit_table",
    "table_exists",
    "create_table",
    "create_namespace_if_not_exists",
)
"""Methods of a catalog that ask it something, those that K2 uses."""

LIST_LOCATIONS: Final = "list_locations"
"""What `k2app.lake.table_cache` asks of a catalog's database itself."""

ANSWERS: Final = (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
"""Exceptions by which a catalog answers: it works."""


def unobserved(_operation: str, _seconds: float, _failed: bool) -> None:
    """Observe nothing."""


@contextmanager
def observing(observe: Observe, operation: str) -> Iterator[None]:
    """Observe one request."""
    begun_s, failed = time.perf_counter(), False
    try:
        yield
    except ANSWERS:
        raise
    except BaseException:
        failed = True
        raise
    finally:
        observe(operation, time.perf_counter() - begun_s, failed)


def observed(catalog: Catalog, observe: Observe) -> Catalog:
    """The same catalog, with its requests observed; tables that it gives out commit through it."""
    for operation in OPERATIONS:
        # On the instance: a catalog's class is chosen by its settings.
        setattr(catalog, operation, _observed(getattr(catalog, operation), operation, observe))
    return catalog


def _observed(request: Callable[..., Any], operation: str, observe: Observe) -> Callable[..., Any]:
    def ask(*arguments: Any, **options: Any) -> Any:
        with observing(observe, operation):
            return request(*arguments, **options)

    return ask
