"""What is declared in one place and used in another: errors, fault points, metrics."""

import inspect
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from k2app import errors, faults
from k2app.faults import POINTS, Faults
from k2app.metrics import Metrics

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


def metrics():
    """Metric by attribute."""
    found = vars(Metrics(CollectorRegistry()))
    return {name: m for name, m in found.items() if isinstance(m, MetricWrapperBase)}


@pytest.mark.parametrize("attribute", metrics())
def test_every_metric_is_set_somewhere(attribute):
    """A metric that nobody sets is a promise that is not kept."""
    declared = ROOT / "k2app" / "metrics.py"
    assert re.search(rf"\.{attribute}\b", source_of("k2app", "web", "tables", "agents", without=[declared]))


@pytest.mark.parametrize(("attribute", "metric"), metrics().items())
def test_metrics_are_named_by_the_rules(attribute, metric):
    """Prefix k2_, help that is a sentence, and no label that could grow with the market."""
    (family,) = metric.describe()
    assert family.name.startswith("k2_"), attribute
    assert family.documentation.endswith(".")
    assert set(metric._labelnames).isdisjoint({"symbol", "path", "offset", "key", "load_id", "commit_id"})
