"""The machine: versions, the home folder, disk and file limits."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from k2app.operate.doctor.findings import Finding, failed, fine, warning
from k2app.settings import Settings

PART = "machine"

PACKAGES = ("faust-streaming", "aiokafka", "rocksdict", "pyiceberg", "pyarrow", "duckdb")
"""Packages whose versions an error report needs."""

LOW_DISK_BYTES = 5 * 1024**3
"""Free bytes below which a busy day may fill the disk."""

NO_DISK_BYTES = 256 * 1024**2
"""Free bytes below which a flush may fail."""

FEW_FILES = 1_024
"""Limit of open files up to which the state stores of many partitions may meet it."""


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    """Say what K2 runs on."""
    shown = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield fine(PART, f"Python {platform.python_version()}, k2 {version('k2')}, {shown}")
    yield _home(settings.home)
    yield _disk(settings.home)
    yield _open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _home(home: Path) -> Finding:
    at = existing(home)
    if not at.is_dir() or not os.access(at, os.W_OK | os.X_OK):
        return failed(
            PART, f"{home} cannot be written", "give this user the folder, or set K2_HOME to another one"
        )
    return fine(PART, f"home {home}" + ("" if home.exists() else ", to be made by `k2 init`"))


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(existing(home)).free
    text = f"{free / 1024**3:,.1f} GiB free at {home}"
    if free < NO_DISK_BYTES:
        return failed(PART, text, "make room: neither log nor state can be written soon")
    if free < LOW_DISK_BYTES:
        return warning(PART, text, "make room, or lower K2_LOG_KEEP_HOURS")
    return fine(PART, text)


def _open_files(limit: int) -> Finding:
    text = f"{limit:,} files may be open"
    if limit == resource.RLIM_INFINITY:
        return fine(PART, "any number of files may be open")
    if limit <= FEW_FILES:
        return warning(PART, text, "raise it (ulimit -n 65536): every partition's state keeps files open")
    return fine(PART, text)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(at for at in (path, *path.parents) if at.exists())
