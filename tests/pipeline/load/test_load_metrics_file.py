"""Metrics of loads, which come by a file: their process is gone before anybody could scrape it."""

import time

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from k2app.load import profiles
from k2app.load.load_metrics import LoadMeasures
from k2app.load.request import Report, Request
from k2app.market import exchanges
from k2app.market.topics import DataType
from k2app.metrics import LoadMetrics
from tests.pipeline.load.commands import asx_trades, on_log

ASX = ("--profile", "asx", "--type", "trades", "--symbol", "KTO")

LABELS = {"exchange": "asx", "type": "trades"}

SUCCESS = ("k2_load_last_success_timestamp_seconds",)


@pytest.fixture
def told(k2):
    """Load with a file for metrics; its exit status, and samples by name and further labels."""
    path = k2.folder / "k2.prom"

    def load(*arguments):
        done = k2(*arguments, K2_LOAD_METRICS_FILE=str(path))
        samples = [s for f in text_string_to_metric_families(path.read_text()) for s in f.samples]
        assert all(LABELS.items() <= s.labels.items() for s in samples)
        found = {(s.name, *(v for k, v in s.labels.items() if k not in LABELS)): s.value for s in samples}
        return done.status, found

    return load


def test_file_tells_of_the_loads_of_a_command(k2, told):
    """Rows, rejects, bytes, time, and when it went well; of all files of the command together."""
    first, second = asx_trades(3), asx_trades(2, price=2) + "not,a,trade\n"
    k2.write("9001.csv", first)
    k2.write("9002.csv", second)
    begun_s = time.time()
    status, found = told("9001.csv", "9002.csv", *ASX)
    assert 0 == status
    assert (5, 1) == (found["k2_load_rows_total", "sent"], found["k2_load_rows_total", "rejected"])
    assert len(first) + len(second) == found["k2_load_bytes_total",]
    assert found["k2_load_duration_seconds",] > 0
    assert begun_s <= found[SUCCESS] <= time.time()
    assert ["k2.prom"] == [path.name for path in k2.folder.iterdir() if ".prom" in path.name]


def test_file_that_is_moved_by_the_end_of_its_load_is_counted(tmp_path):
    """By the size that was read: the load went well, and whoever watches for files may have filed this one away."""
    asx, gone = exchanges.load()["asx"], tmp_path / "moved.csv"
    request = Request(gone, asx, DataType.TRADES, profiles.load("k2"), symbol=None, sequence="source")
    measures = LoadMeasures(tmp_path / "k2.prom")
    with measures.counting(request) as reports:
        reports.append(Report("1", request.path, request.data_type, "topic", rows=3, size_bytes=70))
    assert 'k2_load_bytes_total{exchange="asx",type="trades"} 70.0' in (tmp_path / "k2.prom").read_text()


def test_every_metric_of_a_load_is_told(k2, told):
    """None is declared that no load sets."""
    k2.write("9001.csv", asx_trades(3))
    _, found = told("9001.csv", *ASX)
    declared = [
        m for m in vars(LoadMetrics(CollectorRegistry())).values() if isinstance(m, MetricWrapperBase)
    ]
    families = [metric.describe()[0] for metric in declared]
    assert {f.name + ("_total" if f.type == "counter" else "") for f in families} <= {
        name for name, *_ in found
    }


def test_load_that_fails_leaves_when_one_last_went_well(k2, told):
    """A failure is seen by the age of the last success, which it must not take away."""
    k2.write("9001.csv", asx_trades(3))
    _, well = told("9001.csv", *ASX)
    k2.write("9002.csv", asx_trades(2, price=3) + "not,a,trade\n")
    status, failed = told("9002.csv", *ASX, "--strict")
    assert 0 != status
    assert well[SUCCESS] == failed[SUCCESS]
    assert ("k2_load_rows_total", "sent") not in failed


def test_folder_that_is_not_there_is_found_before_anything_is_loaded(k2):
    """A load whose metrics nobody would see does not begin."""
    k2.write("9001.csv", asx_trades(3))
    done = k2("9001.csv", *ASX, K2_LOAD_METRICS_FILE=str(k2.folder / "nowhere" / "k2.prom"))
    assert 0 != done.status
    assert "K2_LOAD_METRICS_FILE" in done.err
    assert [] == on_log(k2.home)
