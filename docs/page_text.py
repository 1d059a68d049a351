"""What the generated pages are made of: Markdown tables, and text that stays in its cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WRITTEN = "<!-- Written by `make docs`. -->"
"""Says at the top of a page that it is not edited by hand."""


def cell(text: object) -> str:
    """Text for one cell of a table: one line, its bars escaped."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Text as code; nothing for nothing."""
    shown = cell(text)
    return f"`{shown}`" if shown else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a blank line after it; no table for no rows."""
    lines = [f"| {' | '.join(map(cell_or_blank, row))} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]) + "\n\n"


def cell_or_blank(text: object) -> str:
    """Text of a cell that may hold nothing; code in it was escaped before."""
    shown = "" if text is None else str(text)
    return shown if "\\|" in shown else cell(shown)
