"""Writes docs/tour.md by following the README's five minutes in a fresh home: python docs/tour.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.console_blocks import FENCE, ROOT, commands

PAGE = Path(__file__).with_name("tour.md")

MARK = "=== command "

MARK_LINES = 3
"""Lines of a mark: itself, and two of `times`, for the shell and for its children."""

OURS_S = 0.2
"""Seconds of processor time that every command of ours takes, to start; those of the shell take hundredths."""

WITHIN_S = 300
"""Seconds until the tour must have ended; it takes twenty of processor time."""

HEAD = """# The first ten minutes

<!-- Written by `make tour`, which runs these commands. -->

The README's five minutes as they ran, with what goes to standard error too: warnings, and what the worker says of its
work. Ids, times and durations in it are made alike: below the table, the page changes only where K2 does.

What it takes from nothing, on two cores; `make setup`, `make demo` and the commands are done within ten minutes, also
on a machine that is busy.

| step | processor time | measured |
|---|---|---|
| `make setup` | 41 s, and the downloads | by hand, once |
| `make demo`: 600,000 rows made, loaded, ingested, compared | 25 s | by hand, once |
| each command of K2 below, most of it start-up | {least_s:.1f} to {most_s:.1f} s | in the run that wrote this page |
| all of them | {all_s:.0f} s | in the same run |

"""


class Alike:
    """Text without what differs from run to run; equal ids stay equal."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[str, str]] = defaultdict(dict)

    def text(self, line: str) -> str:
        """One line."""
        today = datetime.now(UTC).strftime("%Y-%m-%d")
        line = re.sub(rf"{today}([T ])[\d:]{{8}}(\.\d+)?", r"2026-01-06\g<1>09:00:00", line.rstrip())
        line = re.sub(r"\b[0-9a-f]{32}\b|\b\d{15,19}\b", self._id, line)
        line = re.sub(r"(seconds=|_s=|': )\d+\.\d+", r"\g<1>0.1", line)
        line = re.sub(r"bytes=\d+", "bytes=10000", line)
        return re.sub(r"[\d,]+ rows/s", "100,000 rows/s", line)

    def _id(self, match: re.Match[str]) -> str:
        known = self._seen[len(match[0]) == HEX_DIGITS]
        new = f"{len(known) + 1:032x}" if len(match[0]) == HEX_DIGITS else str(FIRST_SNAPSHOT + len(known))
        return known.setdefault(match[0], new)


HEX_DIGITS = 32
"""Characters of an id of a load, a commit or a log."""

FIRST_SNAPSHOT = 1_000_000_000_000_000_001
"""Stands for the first snapshot id that is seen."""


def section() -> str:
    """The README's five minutes, up to their last command."""
    text = (ROOT / "README.md").read_text().partition("## Five minutes\n\n")[2].partition("\n## ")[0]
    last = [match for match in FENCE.finditer(text) if match["info"] == "console"][-1]
    return text[: last.end()]


def run(script: str, folder: str) -> Iterator[list[str]]:
    """Run a script of commands, each behind a mark; yields the lines that each printed, the mark's own first."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("K2_")}
    done = subprocess.run(
        ["bash", "-e"],  # noqa: S607 - the user's
        input=script,
        cwd=folder,
        env=ours | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the README's commands do not run:\n{done.stdout}")
    for text in re.split(rf"^{MARK}", done.stdout, flags=re.MULTILINE)[1:]:
        yield text.splitlines()


def children_s(mark: list[str]) -> float:
    """Processor time of all commands up to a mark, seconds: the second line that bash's `times` printed there."""
    user_min, user_s, system_min, system_s = map(float, re.findall(r"[\d.]+", mark[2]))
    return 60 * (user_min + system_min) + user_s + system_s


def page() -> str:
    """The page, made by running the commands."""
    text, alike = section(), Alike()
    typed = [c.text for match in FENCE.finditer(text) for c in commands(match["text"])]
    # The last one is there for its mark: how much those before it took.
    script = "\n".join(f"echo '{MARK}{i}'; times\n{command}" for i, command in enumerate([*typed, ":"]))
    with tempfile.TemporaryDirectory() as folder:
        done = list(run(script, folder))
        spent_s = [children_s(lines) for lines in done]
        printed = (lines[MARK_LINES:] for lines in done)

        def shown(match: re.Match[str]) -> str:
            lines = []
            for command in commands(match["text"]):
                lines += [f"$ {command.text}", *(alike.text(line) for line in next(printed))]
            return "```console\n" + "\n".join(lines) + "\n```"

        made = FENCE.sub(shown, text)
    return f"{head(spent_s)}{_without_first_paragraph(made)}\n"


def head(spent_s: list[float]) -> str:
    """The page's first lines, with what the commands took: processor time spent before each, and after the last."""
    took_s = [after - before for before, after in pairwise(spent_s)]
    ours_s = [one for one in took_s if one > OURS_S]
    return HEAD.format(least_s=min(ours_s), most_s=max(ours_s), all_s=sum(took_s))


def _without_first_paragraph(text: str) -> str:
    """What the README says of its own outputs does not hold here."""
    return text[text.index("```") :]


if __name__ == "__main__":
    PAGE.write_text(page())
