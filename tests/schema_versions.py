"""Schemas of a K2 to come, for child processes: a copy of the package `schemas` with one more version in it."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemas

VENUE = {
    "name": "venue",
    "type": ["null", "string"],
    "default": None,
    "doc": "Where it was made, if it was said.",
}

WIDE = 24
"""Digits of the second version's prices and quantities."""

Change = Callable[[dict[str, Any]], None]


def evolved(record: str, *, digits: int = WIDE) -> dict[str, Any]:
    """The newest schema with wider decimals and, of trades, a new field."""
    found = copy.deepcopy(schemas.newest(record))
    for field in found["fields"]:
        for kind in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            if isinstance(kind, dict) and kind.get("logicalType") == "decimal":
                kind["precision"] = digits
    if record == "trade":
        found["fields"].append(VENUE)
    return found


def with_versions(folder: Path, **second: dict[str, Any]) -> dict[str, str]:
    """Copy the schemas, add second versions by record, and give the environment in which processes see them."""
    package = Path(schemas.__file__).parent
    shutil.copytree(package, folder / "schemas", ignore=shutil.ignore_patterns("__pycache__"))
    for record, schema in second.items():
        (folder / "schemas" / f"{record}.v2.avsc").write_text(json.dumps(schema))
    # Without the second one, `python -m` would look into the working directory first.
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
