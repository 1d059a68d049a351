"""What documents say of the code, held against it."""

import ast
import re

from k2app.settings import variables
from tests.console_blocks import ROOT, pages
from web.problems import CLIENT_CLOSED_REQUEST, KINDS

OPERATIONS = ROOT / "docs" / "operations.md"

MADE_UP = {"schemas/trade.v2.avsc"}
"""Files that a page tells how to make."""

SOURCES = ("k2app", "web", "agents", "tables")


def test_messages_that_an_operator_looks_up_are_those_of_the_code():
    """Whoever searches the page for the words on the screen finds them."""
    sources = (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    # Messages are written in pieces, over several lines.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in sources))
    table = OPERATIONS.read_text().partition("## When something is wrong")[2]
    said = [
        text
        for row in re.findall(r"^\| (`[^|]*)\|", table, re.MULTILINE)
        for text in re.findall(r"`([^`]+)`", row)
    ]
    assert len(said) > 10
    assert [] == [text for text in said if text not in code]


def test_spans_that_an_operator_sees_are_those_of_the_code():
    """The table of spans has each that the code begins by a name of its own, with its attributes and steps."""
    code = "\n".join(path.read_text() for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    table = OPERATIONS.read_text().partition("### Traces")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    words = re.findall(r"`([^`]+)`", "\n".join(rows))
    begun = set(re.findall(r'span\(\s*f?"(\w+)', code))
    assert begun == {"batch", "flush", "load", "query"}
    assert begun <= {word.partition(" ")[0] for word in words}
    attributes = [word.removeprefix("k2.") for word in words if word.startswith("k2.")]
    assert len(attributes) > 5
    assert [] == [name for name in attributes if not re.search(rf"\b{name}[=\"]", code)]
    steps = re.findall(r'_timed\(\w+, "(\w+)"', code)
    assert set(steps)
    assert set(steps) <= set(words)


def test_settings_that_pages_name_exist():
    """A variable that was renamed would be refused by whoever follows the page."""
    known = set(variables()) | {f"{name}_FILE" for name in variables()}
    ours = {"K2_URL", "K2_KEY", "K2_FAULT", "K2_TEST_DATA"}
    for page in pages():
        said = set(re.findall(r"\bK2_[A-Z0-9_]*[A-Z0-9]\b", page.read_text()))
        assert set() == {
            name for name in said - known - ours if not any(k.startswith(f"{name}_") for k in known)
        }


def kinds() -> set[str]:
    """Kinds of problems that the server answers with, as its code names them."""
    calls = (
        node
        for path in (ROOT / "web").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    given = (
        call.args[1] for call in calls if call.func.id in {"problem", "RefusedError"} and len(call.args) > 1
    )
    said = {argument.value for argument in given if isinstance(argument, ast.Constant)}
    # 499 is for the metrics: its client has gone.
    return said | {kind for _, status, kind in KINDS if status != CLIENT_CLOSED_REQUEST}


def test_every_kind_of_problem_has_a_row():
    """A program that meets one finds what it means; and no row is of a kind that is gone."""
    table = (ROOT / "docs" / "http.md").read_text().partition("## Errors")[2]
    rows = re.findall(r"^\| [\d, ]+ \| ([^|]+) \|", table, re.MULTILINE)
    assert kinds() == {kind for row in rows for kind in re.findall(r"`([a-z-]+)`", row)}


def test_files_that_pages_name_exist():
    """Modules, tests and folders of the repository, wherever they stand as code."""
    path = re.compile(r"`((?:k2app|tests|web|agents|tables|schemas|deploy|bench|docs|demo)/[\w./-]+)`")
    for page in pages():
        said = set(path.findall(page.read_text()))
        gone = {name for name in said - MADE_UP if "NNN" not in name and not (ROOT / name).exists()}
        assert set() == gone, page
