"""Writes docs/settings.md from the settings themselves: python docs/settings_page.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from k2app.cli.config import DERIVED
from k2app.settings import Settings, variables

PAGE = Path(__file__).with_name("settings.md")

HEAD = """# Settings

Every setting is an environment variable, or a line of a `.env` file in the working directory (the environment wins).
`k2 config` prints the values in force and where they come from. What is secret (passwords, `K2_LAKE_URI`) may be in a
file instead: `K2_KAFKA_PASSWORD_FILE=/run/secrets/kafka` gives `K2_KAFKA_PASSWORD`. A variable that starts
with `K2_` and is not here is refused, with the nearest name.

<!-- Written by `make docs`. -->

| variable | default | meaning |
|---|---|---|
"""

FROM_HOME = {
    "K2_LOG_URL": "`sqlite:///` + `K2_HOME/log.db`",
    "K2_LAKE_URI": "`sqlite:///` + `K2_HOME/catalog.db`",
    "K2_LAKE_WAREHOUSE": "`K2_HOME/warehouse`",
}
"""What an empty value stands for."""


def page() -> str:
    """The page."""
    return HEAD + "".join(_row(variable, _field(path)) for variable, path in variables().items())


def _field(path: tuple[str, ...]) -> FieldInfo:
    model: type[BaseModel] = Settings
    for part in path[:-1]:
        found: Any = model.model_fields[part].annotation
        model = found
    return model.model_fields[path[-1]]


def _row(variable: str, field: FieldInfo) -> str:
    choices = (
        ", ".join(f"`{c}`" for c in get_args(field.annotation))
        if get_origin(field.annotation) is Literal
        else ""
    )
    meaning = (field.description or "").replace("|", "\\|") + (f" One of {choices}." if choices else "")
    return f"| `{variable}` | {_default(variable, field)} | {meaning} |\n"


def _default(variable: str, field: FieldInfo) -> str:
    if variable in DERIVED:
        return FROM_HOME[variable]
    value = field.get_default(call_default_factory=True)
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return "" if text in (None, "", {}) else f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page())
