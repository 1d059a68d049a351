"""Writes docs/metrics.md from the metrics themselves: python docs/metrics_page.py."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from k2app.metrics import LoadMetrics, Metrics

PAGE = Path(__file__).with_name("metrics.md")

HEAD = """# Metrics

What `/metrics` of a worker and of `k2 web` says, in Prometheus's text format; in a process that only answers queries,
what a worker counts is absent or 0. Names are as they are scraped: a counter ends with `_total`, and a histogram comes
as `_bucket`, `_sum` and `_count`. Beside these stand the series of Prometheus's own collectors (`process_…`,
`python_info`). The metrics of loads come by a file, `K2_LOAD_METRICS_FILE`.

Most is counted where it happens. What has to be asked for (sizes of tables, log and state, free space, DuckDB's memory,
readiness) is looked at every `K2_METRICS_LOOK_S` seconds. Labels are bounded: the only one with symbols is that of
`k2_open_gaps_of_symbol`, which has the `K2_METRICS_TOP_SYMBOLS` symbols with most open gaps. Series of a partition go
when the partition does.

<!-- Written by `make docs`. -->
"""

TABLE = "\n| metric | type | labels | meaning |\n|---|---|---|---|\n"

ENDINGS = {"counter": "_total"}
"""What a type adds to a metric's name when it is scraped."""


def page() -> str:
    """The page."""
    of_process = vars(Metrics(CollectorRegistry())).values()
    groups = [*of_process, LoadMetrics(CollectorRegistry())]
    return HEAD + "".join(_section(group) for group in groups if _metrics(group))


def _section(group: object) -> str:
    """A group: what it is about as the heading, and what more is said of it."""
    title, _, more = (type(group).__doc__ or "").strip().partition("\n\n")
    rows = "".join(map(_row, _metrics(group)))
    return f"\n## {title.removesuffix('.')}\n" + (f"\n{more}\n" if more else "") + TABLE + rows


def _metrics(group: object) -> list[MetricWrapperBase]:
    found = vars(group).values() if hasattr(group, "__dict__") else ()
    return [metric for metric in found if isinstance(metric, MetricWrapperBase)]


def _row(metric: MetricWrapperBase) -> str:
    (family,) = metric.describe()
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - no public way
    name = family.name + ENDINGS.get(family.type, "")
    return f"| `{name}` | {family.type} | {labels} | {family.documentation.replace('|', chr(92) + '|')} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
