"""Writes the dashboards (dashboards/*.json) from lists of panels (panels/*.toml): python deploy/grafana/dashboards.py.

A list has a title, a uid, and `job`: a pattern of the Prometheus jobs whose processes one may choose. Its rows have
panels: `title`, `about`, `unit` (Grafana's id), `lines` (legend and expression of each), `kind` (lines, stacked, stat;
default: lines), `alert` (whose threshold is drawn). `@` in an expression stands for the chosen processes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

ALERTS = HERE.parent / "prometheus" / "rules" / "k2-alerts.yml"

PROCESSES = 'instance=~"$instance"'
"""Selects the processes that are chosen at the top of a dashboard."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

SCHEMA_VERSION = 41
"""Of the dashboards' model: Grafana 11.6 and 12 write it, 13 reads it."""

COLUMNS = 24
"""Of Grafana's grid."""

SIZES = {"stat": (4, 4), "lines": (8, 8), "stacked": (8, 8)}
"""Width and height of a panel in cells of the grid, by kind: six figures, or three charts, side by side."""

Json = dict[str, Any]


def lists() -> dict[str, Json]:
    """The lists of panels by name."""
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted((HERE / "panels").glob("*.toml"))}


def dashboard(given: Json) -> Json:
    """What Grafana reads, from a list of panels."""
    return {
        "uid": given["uid"],
        "title": given["title"],
        "description": given["about"],
        "tags": ["k2"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "tags": ["k2"], "title": "K2", "includeVars": True, "keepTime": True}
        ],
        "annotations": {"list": [_alerts_shown()]},
        "templating": {"list": [_datasource_variable(), _process_variable(given["job"])]},
        "panels": list(_panels(given["row"])),
    }


def _panels(rows: list[Json]) -> Iterator[Json]:
    """Panels of all rows, from left to right and downwards, without gaps."""
    number = top = 0
    for row in rows:
        number, left = number + 1, 0
        yield _row(row["title"], number, top)
        top += 1
        height = 0
        for panel in row["panel"]:
            wide, height = SIZES[panel.get("kind", "lines")]
            if left + wide > COLUMNS:
                top, left = top + height, 0
            number += 1
            yield _panel(panel, number, {"x": left, "y": top, "w": wide, "h": height})
            left += wide
        top += height


def _row(title: str, number: int, top: int) -> Json:
    place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Json, number: int, place: Json) -> Json:
    kind = panel.get("kind", "lines")
    alert = panel.get("alert")
    return {
        "id": number,
        "type": "stat" if kind == "stat" else "timeseries",
        "title": panel["title"],
        "description": panel["about"] + (f" Alert: {alert}." if alert else ""),
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel, kind), "overrides": []},
        "options": _options(kind),
        "targets": [_target(*line, number) for number, line in enumerate(panel["lines"])],
    }


def _target(legend: str, expression: str, number: int) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "editorMode": "code",
        "range": True,
        "expr": expression.replace("@", PROCESSES),
        "legendFormat": legend,
    }


def _defaults(panel: Json, kind: str) -> Json:
    steps = _steps(panel["alert"]) if "alert" in panel else [{"color": "green", "value": None}]
    found: Json = {
        "unit": panel["unit"],
        "min": 0,
        "color": {"mode": "thresholds" if kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if kind != "stat":
        found["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if kind == "stacked" else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if kind == "stacked" else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if "alert" in panel else "off"},
        }
    return found


def _steps(alert: str) -> list[Json]:
    """Colours on both sides of an alert's threshold."""
    compared = re.search(rf"alert: {alert}\n +expr: .* ([<>]) (\S+)\n", ALERTS.read_text())
    if compared is None:
        raise ValueError(f"{ALERTS}: no alert {alert} that compares with a number")
    below, above = ("green", "red") if compared[1] == ">" else ("red", "green")
    return [{"color": below, "value": None}, {"color": above, "value": float(compared[2])}]


def _options(kind: str) -> Json:
    if kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
        }
    legend = {
        "displayMode": "table",
        "placement": "bottom",
        "showLegend": True,
        "calcs": ["lastNotNull", "max"],
    }
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _datasource_variable() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }


def _process_variable(job: str) -> Json:
    query = f'label_values(up{{job=~"{job}"}}, instance)'
    return {
        "name": "instance",
        "label": "Process",
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "instance"},
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
        "hide": 0,
    }


def _alerts_shown() -> Json:
    """Marks in all charts while alerts fire."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"K2.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{table}} {{topic}}",
    }


def text(name: str) -> str:
    """Text of a dashboard's file."""
    return json.dumps(dashboard(lists()[name]), indent=2) + "\n"


def main() -> None:
    """Write all of them."""
    for name in lists():
        (HERE / "dashboards" / f"{name}.json").write_text(text(name))


if __name__ == "__main__":
    main()
