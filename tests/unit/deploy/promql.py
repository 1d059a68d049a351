"""What PromQL expressions ask for: enough of the language for those under deploy/."""

import re
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from k2app.metrics import Metrics

SELECTOR = re.compile(r"(?<![\w:$\"{])(?P<name>[a-zA-Z_][\w:]*)(?P<matchers>\{[^{}]*\})?(?P<call>\s*\()?")

MATCHER = re.compile(r'(?P<label>\w+)\s*(?:=~|!~|!=|=)\s*"(?P<value>(?:[^"\\]|\\.)*)"')

COMPARISON = re.compile(r"(?P<left>.+) (?P<operator><|>|==) (?P<threshold>[\d.e]+)")
"""An alert's expression: one value and one threshold."""

GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")

WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}

FROM_PROMETHEUS = {"job", "instance"}
"""Labels that every scraped series has."""

OTHERS = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate"},
    "process_start_time_seconds": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_open_fds": set(),
}
"""Series that are not of `k2app.metrics`, with their labels."""


@dataclass(frozen=True)
class Selector:
    """One series that is asked for."""

    name: str
    matchers: str

    @property
    def labels(self) -> dict[str, str]:
        """Pattern or value by label that it matches."""
        return {match["label"]: match["value"] for match in MATCHER.finditer(self.matchers)}

    def __str__(self) -> str:
        return self.name + self.matchers


def selectors(expression: str) -> list[Selector]:
    """Series that an expression asks for; functions, aggregations and their labels are none."""
    plain = GROUPING.sub("", re.sub(r"\[[^\]]*\]", "", expression))
    return [
        Selector(match["name"], match["matchers"] or "")
        for match in SELECTOR.finditer(plain)
        if not match["call"] and match["name"] not in WORDS and not match["name"][0].isdigit()
    ]


def grouped_labels(expression: str) -> set[str]:
    """Labels that an expression groups or joins by."""
    lists = re.findall(r"\b(?:by|on|group_left)\s*\(([^()]*)\)", expression)
    return {label.strip() for one in lists for label in one.split(",") if label.strip()}


def declared() -> dict[str, set[str]]:
    """Labels by name of every series that K2's processes show, and those of `OTHERS`."""
    found: dict[str, set[str]] = {}
    for group in vars(Metrics(CollectorRegistry())).values():
        for metric in vars(group).values() if hasattr(group, "__dict__") else ():
            if isinstance(metric, MetricWrapperBase):
                found |= _series(metric)
    return {name: labels | FROM_PROMETHEUS for name, labels in (found | OTHERS).items()}


def _series(metric: MetricWrapperBase) -> dict[str, set[str]]:
    name, labels = metric._name, set(metric._labelnames)
    match metric._type:
        case "counter":
            return {f"{name}_total": labels}
        case "histogram":
            return {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        case _:
            return {name: labels}
