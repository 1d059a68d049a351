"""`k2 config`: every setting with its value, source and meaning."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from k2app.secret_files import FILE_SUFFIX
from k2app.settings import Settings, is_secret, shown_url, variables

DERIVED = {"K2_LOG_URL": "log_url", "K2_LAKE_URI": "shown_catalog_uri", "K2_LAKE_WAREHOUSE": "warehouse"}
"""Settings whose empty value stands for one derived from `K2_HOME`, and the property that gives it."""


def rows(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Variable, value, source and meaning of every setting, in order of definition; secrets are masked."""
    dotenv = {name.upper() for name in dotenv_values(Path(".env"))}
    for variable, path in variables().items():
        field, value = _look_up(settings, path)
        source = _source(variable, dotenv, is_secret(path))
        if source == "default" and variable in DERIVED:
            source, value = "from K2_HOME", getattr(settings, DERIVED[variable])
        yield variable, _shown(value), source, field.description or ""


def _look_up(settings: Settings, path: tuple[str, ...]) -> tuple[FieldInfo, Any]:
    owner: Any = settings
    for part in path[:-1]:
        owner = getattr(owner, part)
    return type(owner).model_fields[path[-1]], getattr(owner, path[-1])


def _source(variable: str, dotenv: set[str], secret: bool) -> str:
    environment = {name.upper() for name in os.environ}
    if variable in environment:
        return "environment"
    if variable in dotenv:
        return ".env"
    file = variable + FILE_SUFFIX
    return file if secret and file in environment | dotenv else "default"


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    return "" if value is None else shown_url(str(value))
