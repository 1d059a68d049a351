"""Writes the list of rooms into docs/architecture.md, as lint-imports enforces it: python docs/rooms.py."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PAGE = Path(__file__).with_name("architecture.md")

PROJECT = PAGE.parents[1] / "pyproject.toml"

BLOCK = re.compile(r"(?<=^```text\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def page() -> str:
    """The page with the list as the contract has it."""
    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    layers: list[str] = next(one["layers"] for one in contracts if one["type"] == "layers")
    return BLOCK.sub("".join(f"{layer}\n" for layer in layers), PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
