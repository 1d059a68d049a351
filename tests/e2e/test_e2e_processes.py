"""Real processes from the message to the HTTP answer: Faust's own command line and `k2 worker`."""

import json
import os
import signal
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from k2app.lake.tables import Name
from k2app.market.topics import DataType
from tests.pipeline.homes import TRADES, counting, stopped, trades, wait_until

FAUST = str(Path(sys.executable).with_name("faust"))
"""Faust's command, of the same environment."""

OFTEN = {"K2_FLUSH_INTERVAL_S": "0.1"}

BY_ROWS = {"K2_FLUSH_INTERVAL_S": "3000", "K2_FLUSH_MAX_ROWS": "100"}
"""Rows that follow a first flush wait in the buffer."""


@pytest.fixture
def site(port):
    """What the worker serves."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        yield client


def start_faust(home, *arguments, **environment):
    return subprocess.Popen(
        [FAUST, "-A", "k2app.app", *arguments],
        env=os.environ | home.environment | environment,
        cwd=home.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def answers(site, path, status=200):
    try:
        return status == site.get(path).status_code
    except httpx.TransportError:
        return False


def metrics(site):
    """Values by name and labels, of a scrape."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(site.get("/metrics").text)
        for sample in family.samples
    }


def total(scrape, name, **labels):
    """Sum of a metric over the labels that are not given."""
    return sum(v for (n, *found), v in scrape.items() if n == name and labels.items() <= dict(found).items())


def test_faust_worker_ingests_serves_and_commits_at_the_end(home, site):
    """`faust -A k2app.app worker` is a worker like any other: ready, serving; told to end, it commits and exits 0."""
    home.publish(trades(counting(3, 50)))
    with stopped(start_faust(home, "worker", "--loglevel", "info", **BY_ROWS)) as worker:
        wait_until(lambda: answers(site, "/health/ready"), "readiness")
        wait_until(lambda: 100 <= len(site.get("/v1/trades").json()["rows"]) < 180, "trades over HTTP")
        home.publish(trades(counting(3, 10, first=51)))
        wait_until(lambda: 180 == total(metrics(site), "k2_records_in_total", topic=TRADES), "all to be read")
        assert len(home.rows(Name.TRADES)) < 180
        for page in ("/", "/router/", "/table/"):
            assert 404 == site.get(page).status_code
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate(timeout=60)
        assert 0 == worker.returncode, printed
    assert 180 == len(home.rows(Name.TRADES))
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert 180 == sum(line["rows"] for line in lines if line["event"] == "flushed")


def test_faust_lists_agents_and_tables_by_their_topics(home):
    """Agents and tables have explicit names: a module that moves loses no state."""
    _ = home.log
    for command, names in (
        ("agents", [f"@market.equities.{d}.asx" for d in ("quotes", "reference_data", "trades")]),
        ("tables", [f"market.equities.{d}.asx-sequences" for d in ("quotes", "trades")]),
    ):
        with stopped(start_faust(home, "--json", command)) as process:
            printed, _ = process.communicate(timeout=60)
        assert 0 == process.returncode, printed
        rows = next(json.loads(line) for line in printed.splitlines() if line.startswith("["))
        assert names == sorted(row["name"] for row in rows)


def test_taken_port_is_one_line_and_exit_2(home, port):
    """The message names the port and the way out."""
    _ = home.log
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        status, printed = home.run(K2_LOGS_LEVEL="error")
    assert 2 == status
    assert (
        f"k2: 127.0.0.1:{port} is taken by another program: set K2_WEB_PORT, or K2_WEB_ENABLED=false"
        == printed.strip()
    )


def test_metrics_move_with_what_is_ingested(home, site):
    """Rows by flag, gap events, dead letters, commits, flush times, offsets: each tells what happened."""
    present = [n for n in counting(2, 50) if n != ("S1", 7)]
    home.publish(trades(present))
    home.publish_raw([(b"S1", b"not avro"), (b"S2", None)])
    with stopped(home.start(**OFTEN)) as worker:
        wait_until(lambda: answers(site, "/health/ready"), "readiness")
        wait_until(lambda: 99 == total(metrics(site), "k2_rows_committed_total", table="trades"), "a commit")
        wait_until(lambda: 2 == total(metrics(site), "k2_dead_letters_total", table="trades"), "dead letters")
        found = metrics(site)
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(60)
    assert 1 == total(found, "k2_rows_committed_total", table="trades", flag="gap")
    assert 2 == total(found, "k2_rows_committed_total", table="trades", flag="first")
    assert 1 == total(found, "k2_gap_events_total", table="trades", event="opened", severity="small")
    assert 101 == total(found, "k2_records_in_total", table="trades")
    assert 2 == total(found, "k2_decode_failures_total", table="trades")
    values = home_value_bytes(home)
    assert values == total(found, "k2_record_bytes_in_total", table="trades")
    commits = total(found, "k2_commits_total", table="trades", outcome="committed")
    assert commits >= 1
    for step in ("write_files", "side_commit", "main_commit", "states"):
        assert commits == total(found, "k2_flush_seconds_count", table="trades", step=step)
    assert total(found, "k2_decode_seconds_count", table="trades") >= 1
    assert total(found, "k2_last_commit_timestamp_seconds", table="trades") > 1.7e9
    assert sum(home.ends().values()) == total(found, "k2_committed_offset", topic=TRADES)
    assert 0 == total(found, "k2_buffered_rows", table="trades")


def home_value_bytes(home):
    """Bytes of the values of all trades messages."""
    batches = [home.log.read(TRADES, p, 0, max_rows=10**6, max_bytes=2**40) for p in home.ends()]
    return sum(len(batch.value(i) or b"") for batch in batches if batch for i in range(len(batch)))


def quotes(bids, asks):
    """Quotes with these prices; None is a missing side."""
    shell = trades([("BHP", i + 1) for i in range(len(bids))])
    rows = shell.drop_columns(["price", "quantity", "side", "trade_id"])
    for side, prices in (("bid", bids), ("ask", asks)):
        sizes = [None if p is None else Decimal("1.5") for p in prices]
        rows = rows.append_column(f"{side}_price", pa.array(prices, pa.decimal128(18, 8)))
        rows = rows.append_column(f"{side}_quantity", pa.array(sizes, pa.decimal128(18, 8)))
    return rows


def test_quote_keeps_its_null_side_and_its_digits(home, site):
    """From the message to JSON: a missing side is null, prices are exact decimals without trailing zeros."""
    bids = [Decimal("45.10000001"), None, Decimal("1234567890.12345678")]
    asks = [None, Decimal("0.00000001"), Decimal("1234567890.1234568")]
    home.publish(quotes(bids, asks), DataType.QUOTES)
    with stopped(home.start(**OFTEN)) as worker:
        wait_until(lambda: answers(site, "/health/ready"), "readiness")
        wait_until(lambda: 3 == len(rows_of(site)), "the quotes over HTTP")
        found = rows_of(site)
        raw = site.get("/v1/quotes", params={"symbol": "BHP", "numbers": "true"}).text
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(60)
    assert ["45.10000001", None, "1234567890.12345678"] == [r["bid_price"] for r in found]
    assert [None, "0.00000001", "1234567890.1234568"] == [r["ask_price"] for r in found]
    assert ["1.5", None, "1.5"] == [r["bid_quantity"] for r in found]
    assert [1, 2, 3] == [r["sequence"] for r in found]
    numbers = json.loads(raw, parse_float=Decimal)["rows"]
    assert bids == [r["bid_price"] for r in numbers]


def rows_of(site):
    return site.get("/v1/quotes", params={"symbol": "BHP"}).json()["rows"]
