"""The README's tour, word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "=== command "


def commands() -> list[tuple[str, list[str]]]:
    """Commands of the console blocks, each with the output that the page shows."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        lines = block.splitlines()
        while lines:
            line = lines.pop(0)
            if line.startswith("$ ") and "<<END" in line:
                end = lines.index("END") + 1
                line, lines = "\n".join([line, *lines[:end]]), lines[end:]
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def normal(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"[0-9a-f]{32}|\b\d{15,19}\b", "ID", line.rstrip())
    line = re.sub(r"[\d,]+ rows/s", "N rows/s", line)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME UTC", line)


def test_tour_prints_what_the_page_shows(tmp_path):
    """Whoever types the commands sees the same output, line by line, but for ids, times and speed."""
    tour = commands()
    script = "\n".join(f"echo '{MARK}{i}'\n{command}" for i, (command, _) in enumerate(tour))
    done = subprocess.run(
        ["bash", "-e"],
        input=script,
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "K2_LOGS_LEVEL": "warning",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    parts = re.split(rf"^{MARK}\d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(tour) == len(parts)
    for (command, shown), printed in zip(tour, parts, strict=True):
        assert [normal(line) for line in shown] == [normal(line) for line in printed.splitlines()], command
