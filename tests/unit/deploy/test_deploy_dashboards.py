"""Grafana's dashboards, read; `tests/services/test_prometheus.py` asks a real Prometheus what they ask."""

import itertools
import re

import pytest

from tests.unit.deploy import monitoring
from tests.unit.deploy.compose_file import ROOT, ComposeFile
from tests.unit.deploy.promql import OTHERS, declared, grouped_labels, selectors

BOARDS = monitoring.dashboards()

PANELS = monitoring.panels()

UNITS = {"short", "s", "bytes", "Bps", "cps", "reqps", "percentunit"}
"""Grafana's ids of units. Source: grafana/packages/grafana-data, valueFormats/categories.ts."""

NOT_SHOWN = re.compile(r"k2_load_|.*_created$")
"""Metrics of the loader go to a file, not to Prometheus by scraping."""

each_board = pytest.mark.parametrize("name", BOARDS)
each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)


def test_dashboards_are_what_the_program_writes():
    """`make docs` writes them anew."""
    program = monitoring.generator()
    assert {"ingestion", "queries", "lake"} == set(BOARDS) == set(program.lists())
    for name in BOARDS:
        text = (monitoring.GRAFANA / "dashboards" / f"{name}.json").read_text()
        assert program.text(name) == text, "run `make docs`"


@each_board
def test_panels_do_not_overlap(name):
    """Every cell of the grid belongs to one panel at most, and none is outside."""
    taken = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


@each_board
def test_no_hole_between_rows(name):
    """Each line of cells has something in it."""
    places = [panel["gridPos"] for panel in BOARDS[name]["panels"]]
    used = {line for at in places for line in range(at["y"], at["y"] + at["h"])}
    assert set(range(max(used) + 1)) == used


@each_board
def test_datasource_and_processes_are_chosen_at_the_top(name):
    """Any Prometheus, and any of K2's processes."""
    variables = {one["name"]: one for one in BOARDS[name]["templating"]["list"]}
    assert {"datasource", "instance"} == set(variables)
    assert "prometheus" == variables["datasource"]["query"]
    assert variables["instance"]["multi"]
    assert variables["instance"]["includeAll"]
    assert {"uid": "${datasource}", "type": "prometheus"} == variables["instance"]["datasource"]


def test_identities_are_unique():
    assert 3 == len({board["uid"] for board in BOARDS.values()})
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


@each_panel
def test_panel_explains_itself(panel):
    """A title, a sentence on what is shown, a unit."""
    assert panel.given["title"]
    assert panel.given["description"].endswith(".")
    assert panel.given["fieldConfig"]["defaults"]["unit"] in UNITS


@each_panel
def test_panel_asks_the_chosen_processes(panel):
    """By variables, and with an interval that fits the scrapes and the zoom."""
    assert "${datasource}" == panel.given["datasource"]["uid"]
    for target, expression in zip(panel.given["targets"], panel.expressions, strict=True):
        assert "${datasource}" == target["datasource"]["uid"]
        assert all("$instance" == one.labels.get("instance") for one in selectors(expression)), expression
        assert set(re.findall(r"\[([^\]]+)\]", expression)) <= {"$__rate_interval"}


@each_panel
def test_series_are_there_and_have_these_labels(panel):
    """A metric that was renamed would leave an empty panel; a legend without its label, a wrong one."""
    found = declared()
    for target in panel.given["targets"]:
        asked = selectors(target["expr"])
        assert asked
        for one in asked:
            assert set(one.labels) <= found.get(one.name, set()), one
        labels = grouped_labels(target["expr"]) or set().union(*(found[one.name] for one in asked))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


@each_panel
def test_lines_of_one_panel_are_told_apart(panel):
    """Legends differ, and name every label that the lines are grouped by; a figure is one line."""
    legends = [target["legendFormat"] for target in panel.given["targets"]]
    assert len(set(legends)) == len(legends)
    if panel.given["type"] == "stat":
        return
    for target in panel.given["targets"]:
        assert grouped_labels(target["expr"]) - {"le"} <= set(
            re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        )


@each_panel
def test_drawn_threshold_is_the_alerts(panel):
    """Where a panel names an alert, the line is its threshold."""
    named = re.search(r"Alert: (\w+)\.", panel.given["description"])
    if named is None:
        return
    steps = panel.given["fieldConfig"]["defaults"]["thresholds"]["steps"]
    expression = monitoring.alerts()[named[1]]["expr"]
    assert float(expression.split()[-1]) == steps[-1]["value"]
    assert ("red" if expression.split()[-2] == ">" else "green") == steps[-1]["color"]


def test_every_metric_is_shown_or_alerted_on():
    """What nobody looks at need not be measured."""
    expressions = [one for panel in PANELS for one in panel.expressions]
    expressions += [rule["expr"] for rule in monitoring.alerts().values()]
    expressions += monitoring.recordings().values()
    used = {re.sub(r"_(bucket|sum|count)$", "", one.name) for text in expressions for one in selectors(text)}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in declared() if name not in OTHERS}
    assert set() == {name for name in ours - used if not NOT_SHOWN.match(name)}


def test_grafana_finds_them_in_its_container():
    """Compose mounts the folders where provisioning looks."""
    volumes = ComposeFile().service("grafana").given["volumes"]
    mounted = dict(volume.split(":")[1::-1] for volume in volumes)
    provider = monitoring.provider()
    assert "./deploy/grafana/dashboards" == mounted[provider["options"]["path"]]
    for kind in ("datasources", "dashboards"):
        folder = mounted[f"/etc/grafana/provisioning/{kind}"]
        assert list((ROOT / folder).glob("*.yml"))
