"""Avro schemas of the records: one file per record and version; the newest is written, every one is read."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

_FILE = re.compile(r"(?P<record>[a-z_]+)\.v(?P<version>[1-9]\d*)\.avsc")


def versions(record: str) -> dict[int, dict[str, Any]]:
    """Every version of a record's schema, oldest first.

    Parameters
    ----------
    record
        Base name: `trade`, `quote` or `reference_data`.
    """
    found = {
        int(match["version"]): json.loads(file.read_text(encoding="utf-8"))
        for file in resources.files(__package__ or "schemas").iterdir()
        if (match := _FILE.fullmatch(file.name)) and match["record"] == record
    }
    return dict(sorted(found.items()))


def newest(record: str) -> dict[str, Any]:
    """The schema of a record that is written."""
    return list(versions(record).values())[-1]
