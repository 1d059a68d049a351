"""docs/client.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.query_lake import append, trade
from tests.web.live import live, small_lake

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("docs")) as (settings, catalog):
        append(catalog, settings, "trades", [trade(9, symbol="RIO", price="2")])
        with live((settings, catalog)) as running:
            yield running


def test_the_examples_of_the_page_run(server, capsys):
    """Top to bottom, against a server, with the answers that the page speaks of."""
    text = PAGE.read_text().replace("http://localhost:6066", server.base)
    names = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - our own page
    names["client"].close()
    assert ["BHP"] * 5 + ["RIO"] == names["table"]["symbol"].to_pylist()
    assert 5 == names["summary"]["volume"] == names["volume"]
    assert 1 == names["bars"].num_rows
    assert 3 == names["rest"].num_rows
    printed = capsys.readouterr().out
    assert "open_gaps 1 " in printed
    assert "order Input should be 'asc' or 'desc'" in printed
    assert "trades 2026-01-05 00:00:00+00:00" in printed
