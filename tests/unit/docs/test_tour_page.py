"""The transcript of the README's five minutes: of those commands, and of what they print."""

from datetime import UTC, datetime

from tests.console_blocks import ROOT, blocks

README, TRANSCRIPT = ROOT / "README.md", ROOT / "docs" / "tour.md"


def typed(page):
    return [command.text for block in blocks(page) if not block.needs for command in block.commands]


def printed(page):
    return {command.text: command.shown for block in blocks(page) for command in block.commands}


def test_transcript_has_the_readmes_commands():
    """All of them, in order; `make tour` runs them anew."""
    assert typed(README) == typed(TRANSCRIPT), "run `make tour`"


def test_transcript_shows_the_rows_that_the_readme_shows():
    """Of every command that prints a table of market data."""
    tables = {text: shown for text, shown in printed(README).items() if text.startswith("k2-query ")}
    there = printed(TRANSCRIPT)
    assert tables
    for text, shown in tables.items():
        lines = [line.rstrip() for line in there[text]]
        assert [] == [line for line in shown if line.rstrip() not in lines], f"{text}: run `make tour`"


def test_ids_and_times_are_alike_and_equal_ones_stay_equal(generator):
    """So that the page differs only where the output does."""
    alike = generator("tour").Alike()
    one, other = "ab" * 16, "cd" * 16
    lines = [alike.text(f"load {name} at snapshot 987654321987654321") for name in (one, other, one)]
    assert lines[0] == lines[2] != lines[1]
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    told = f"{today}T12:34:56.123456Z steps={{'write_files': 0.123}} seconds=1.5 (10,123 rows/s)"
    assert "2026-01-06T09:00:00Z steps={'write_files': 0.1} seconds=0.1 (100,000 rows/s)" == alike.text(told)
    assert "2026-01-05T00:10:00.250000Z" == alike.text("2026-01-05T00:10:00.250000Z")


def test_times_of_the_commands_are_those_of_the_run(generator):
    """What the shell counted: of each command of ours, and of all of them; those measured by hand say so."""
    tour = generator("tour")
    marks = [["0", "0m0.010s 0m0.001s", f"0m{user_s:.3f}s 0m0.500s"] for user_s in (0, 1.5, 1.51, 3.71)]
    marks.append(["4", "0m0.010s 0m0.001s", "1m2.250s 0m0.750s"])
    spent_s = [tour.children_s(mark) for mark in marks]
    assert [0.5, 2.0, 2.01, 4.21, 63.0] == spent_s
    rows = [line.strip("|").split(" | ") for line in tour.head(spent_s).splitlines() if line.startswith("| ")]
    by_hand, ours = [row for row in rows[1:] if "by hand" in row[2]], rows[-2:]
    assert len(rows) == 1 + len(by_hand) + len(ours)
    assert ["1.5 to 58.8 s", "62 s"] == [row[1] for row in ours]
