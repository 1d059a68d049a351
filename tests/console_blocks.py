"""Console blocks of the documents: commands, and the output that the page shows for each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

ELLIPSIS = "..."
"""In an output: whatever stands here; alone on a line: any lines."""


@dataclass
class Command:
    """A command as it is typed, and the lines that the page shows below it."""

    text: str
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """A console block. `needs` are words such as `docker`: what it takes beyond a home of its own."""

    page: str
    needs: tuple[str, ...]
    commands: list[Command]


def pages() -> list[Path]:
    """Every Markdown page that is kept in the repository."""
    folders = ("docs", "docs/decisions", ".")
    return sorted(page for folder in folders for page in (ROOT / folder).glob("*.md"))


def blocks(page: Path) -> list[Block]:
    """Console blocks of a page, in order."""
    found = FENCE.finditer(page.read_text())
    words = ((match["info"].split(), match["text"]) for match in found)
    return [
        Block(_name(page), _needs(info[1:]), commands(text))
        for info, text in words
        if info[:1] == ["console"]
    ]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _needs(words: list[str]) -> tuple[str, ...]:
    assert all(word.startswith("needs-") for word in words), f"a block is marked by needs-...: {words}"
    return tuple(word.removeprefix("needs-") for word in words)


def commands(text: str) -> list[Command]:
    """Commands of a block: what follows `$ `, a heredoc up to its END included."""
    found: list[Command] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("$ ") and "<<END" in line:
            end = lines.index("END") + 1
            line, lines = "\n".join([line, *lines[:end]]), lines[end:]
        if line.startswith("$ "):
            found.append(Command(line.removeprefix("$ ")))
        else:
            assert found, f"a console block begins with a command: {line}"
            found[-1].shown.append(line)
    return found


def normal(line: str) -> str:
    """A line without what differs from run to run: ids, times, speed."""
    line = re.sub(r"[0-9a-f]{32}|\b\d{15,19}\b", "ID", line.rstrip())
    line = re.sub(r"[\d,]+ rows/s", "N rows/s", line)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME UTC", line)


def is_shown(shown: list[str], printed: list[str]) -> bool:
    """Whether a page shows what was printed, `...` aside."""
    parts = (re.escape(normal(line)).replace(re.escape(ELLIPSIS), ".*") for line in shown)
    wanted = "".join("(?:.*\n)*" if part == ".*" else f"{part}\n" for part in parts)
    return re.fullmatch(wanted, "".join(f"{normal(line)}\n" for line in printed)) is not None
