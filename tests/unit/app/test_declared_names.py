"""What is declared in one place and used in another: errors, fault points, metrics."""

import inspect
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from k2app import errors, faults
from k2app.faults import POINTS, Faults
from k2app.metrics import LoadMetrics, Metrics

ROOT = Path(__file__).parents[3]


def source_of(*packages, without=()):
    """Text of all modules of these packages."""
    files = [f for p in packages for f in sorted((ROOT / p).rglob("*.py")) if f not in without]
    return "\n".join(f.read_text() for f in files)


def our_errors():
    return {n: e for n, e in vars(errors).items() if inspect.isclass(e) and issubclass(e, Exception)}


def test_tree_of_errors_lists_them_all():
    """The docstring's tree has every exception of the module, with what the caller must do, and no other."""
    drawn = re.findall(r"(?:──|^    )\s?(\w+Error)\b[ ]*(.*)$", errors.__doc__, re.MULTILINE)
    assert set(our_errors()) == {name for name, _ in drawn}
    assert all(what for name, what in drawn if name != "K2Error")


def test_every_error_is_a_k2_error_and_means_one_thing():
    """One tree; nobody has two reactions to choose from: what is gone is a request's fault, to who looks no closer."""
    parents = {errors.K2Error: Exception, errors.GoneError: errors.RequestError}
    for name, error in our_errors().items():
        assert (parents.get(error, errors.K2Error),) == error.__bases__, name


def test_fault_points_are_those_of_the_flush_in_order():
    """A point that is listed is passed, a point that is passed is listed, and the crash tests kill at all of them."""
    used = re.findall(r'faults\.point\("([a-z-]+)"\)', source_of("k2app", "tables", "agents"))
    assert sorted(POINTS) == sorted(used)
    flush = (ROOT / "k2app/ingest/flush.py").read_text()
    before = [re.escape(f'"{p}"') for p in POINTS if p not in {"states-written", "watermarks-written"}]
    assert re.search(".*".join(before), flush, re.DOTALL)


def test_no_fault_is_set_in_normal_operation(monkeypatch):
    """Without the variable a point does nothing; another point's fault neither."""
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    for armed in (faults.from_environment(), Faults("main-committed:2")):
        for point in POINTS:
            armed.point(point)


def groups():
    """Groups of metrics by name; the loader's is apart."""
    of_process = vars(Metrics(CollectorRegistry()))
    found = {name: group for name, group in of_process.items() if type(group).__module__ == "k2app.metrics"}
    return {name: g for name, g in found.items() if name != "_asked"} | {
        "load": LoadMetrics(CollectorRegistry())
    }


def declared():
    """Group, attribute and metric of every metric."""
    return [
        (name, attribute, metric)
        for name, group in groups().items()
        for attribute, metric in vars(group).items()
        if isinstance(metric, MetricWrapperBase)
    ]


def test_there_are_groups_and_they_say_what_they_are_about():
    """A test over none would pass; the page of metrics is made of the groups' docstrings."""
    assert {"ingest", "flush", "lake", "log", "schemas", "query", "web", "process", "load"} == set(groups())
    assert 50 <= len(declared())
    assert all(type(group).__doc__.endswith(".") for group in groups().values())


@pytest.mark.parametrize(("group", "attribute"), [one[:2] for one in declared()])
def test_every_metric_is_set_somewhere(group, attribute):
    """A metric that nobody sets is a promise that is not kept; that it moves: `tests/pipeline/metrics`."""
    metrics = ROOT / "k2app" / "metrics.py"
    used = source_of("k2app", "web", "tables", "agents", without=[metrics])
    assert re.search(rf"\.{attribute}\b", used), f"{group}.{attribute}"


UNITS = {"_seconds", "_bytes"}
"""Base units that names end with where a value has one. Source: Prometheus, "Metric and label naming"."""

OTHER_UNITS = re.compile(
    r"(milliseconds|microseconds|minutes|hours|days|kilobytes|megabytes|gigabytes|percent|bits)"
)
"""What `promtool check metrics` complains of."""


@pytest.mark.parametrize(("group", "attribute", "metric"), declared())
def test_metrics_are_named_by_the_rules(group, attribute, metric):
    """Prefix k2_, base units, help that is a sentence, and no label that could grow with the market."""
    (family,) = metric.describe()
    assert re.fullmatch(r"k2_[a-z0-9]+(_[a-z0-9]+)*", family.name), attribute
    assert not OTHER_UNITS.search(family.name)
    # prometheus_client adds it to counters; elsewhere it would be a lie.
    assert (
        not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info"))
        or family.name == "k2_build_info"
    )
    assert family.documentation.endswith(".")
    few = {"symbol"} if (group, attribute) == ("ingest", "top_open_gaps") else set()
    unbounded = {"symbol", "path", "offset", "key", "load_id", "commit_id"}
    assert set(metric._labelnames).isdisjoint(unbounded - few)


@pytest.mark.parametrize(("group", "attribute", "metric"), declared())
def test_metrics_name_their_unit_at_the_end(group, attribute, metric):
    """Seconds and bytes stand last, where the reader of a graph looks for them."""
    (family,) = metric.describe()
    for unit in UNITS:
        if unit in family.name and not family.name.endswith(unit):
            assert family.name in UNIT_INSIDE, f"{group}.{attribute}: {family.name}"


UNIT_INSIDE = {"k2_record_bytes_in"}
"""Bytes of what comes in, beside the records that do."""
