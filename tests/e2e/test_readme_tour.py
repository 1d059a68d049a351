"""The README's tour, word for word, and every command of the documents after it, in the same home."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from k2app.lake.catalog import open_catalog
from k2app.lake.floors import summary_of
from k2app.lake.tables import Name
from k2app.settings import Settings
from tests.console_blocks import ROOT, Command, blocks, is_shown, pages
from tests.web.conftest import free_port

MARK = "=== command "

README = ROOT / "README.md"

TRANSCRIPT = ROOT / "docs" / "tour.md"
"""Made of the README's commands: they are not run twice."""

WITHIN_S = 300
"""Seconds until all must have ended."""


def runnable(page: Path) -> list[Command]:
    """Commands of a page that take nothing but a home."""
    return [command for block in blocks(page) if not block.needs for command in block.commands]


def run(folder: Path, commands: list[Command]) -> list[list[str]]:
    """Type commands into one shell that stops at the first that fails; returns what each printed."""
    script = "\n".join(f"echo '{MARK}{i}'\n{command.text}" for i, command in enumerate(commands))
    given = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "K2_LOGS_LEVEL": "warning",
        "K2_WEB_PORT": str(free_port()),
    }
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail"],
        input=script,
        cwd=folder,
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    printed = re.split(rf"^{MARK}\d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert 0 == done.returncode, (commands[len(printed) - 1].text, done.stderr)
    return [text.splitlines() for text in printed]


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A folder in which the README and then all other documents were followed, and what each command printed."""
    folder = tmp_path_factory.mktemp("tour")
    others = [page for page in pages() if page not in (README, TRANSCRIPT)]
    commands = [command for page in (README, *others) for command in runnable(page)]
    return folder, list(zip(commands, run(folder, commands), strict=True))


def test_commands_print_what_the_pages_show(lived):
    """Whoever types them sees the same output, line by line, but for ids, times and speed; the README shows all."""
    told = len(runnable(README))
    for number, (command, printed) in enumerate(lived[1]):
        if command.shown or number < told:
            assert is_shown(command.shown, printed), (command.text, printed)


def test_data_dictionary_has_what_snapshots_and_tables_say_of_themselves(lived):
    """Every summary key and table property of K2's that the tour left in the lake is on the page."""
    page = (ROOT / "docs" / "data-dictionary.md").read_text()
    settings = Settings(home=lived[0] / "tour" / "lake")
    with open_catalog(settings) as catalog:
        tables = [catalog.load_table((settings.lake.namespace, name)) for name in Name]
    said = {key for table in tables for key in table.properties}
    said |= {key for table in tables for one in table.snapshots() for key in summary_of(one)}
    ours = {key for key in said if key.startswith("k2.")}
    names = {"k2.count.": "FLAG", "k2.tag.": "NAME", "k2.sequence-rule.": "EXCHANGE"}
    for prefix, name in names.items():
        ours = {prefix + name if key.startswith(prefix) else key for key in ours}
    assert {"k2.floor", "k2.origin", "k2.range", "k2.tag.NAME", "k2.count.FLAG"} <= ours
    assert [] == [key for key in sorted(ours) if f"`{key}`" not in page]
