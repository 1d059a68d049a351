"""Point queries, over HTTP and without it, against hand-written SQL on the same files; and many clients at once.

Run: `python bench/serving.py [--rows 10000000]`; writes bench-out/serving.json.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import aiohttp
import duckdb
import numpy as np
import pyarrow as pa
from paired import paired, times_ms
from rich.console import Console
from rich.table import Table
from serving_lake import DAY_US, HOUR_US, MONDAY_US, OUT, SYMBOLS, files_of, lake_of

from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.requests import RowsRequest
from k2app.settings import Settings

TURNS = 60

START_US = MONDAY_US + 2 * DAY_US + HOUR_US

POINT = (
    'SELECT * FROM read_parquet($files) WHERE symbol = $symbol AND "timestamp" >= make_timestamptz($start) AND '
    '"timestamp" < make_timestamptz($end) ORDER BY "timestamp", "sequence", log_id, topic, "partition", "offset" '
    "LIMIT 1000"
)

READY_S = 60.0

CLIENTS, CLIENTS_S = 64, 10.0


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    settings = lake_of(options.rows)
    found = [point(settings), *over_http(settings), *clients(settings, 1), *clients(settings, 3)]
    console = Console(width=None if Console().is_terminal else 150)
    table = Table(
        title=f"{options.rows:,} trades, as many quotes, {SYMBOLS} symbols", box=None, pad_edge=False
    )
    for column in ("what", "reference", "ours", "ratio"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in found:
        table.add_row(*(row[column] for column in ("what", "reference", "ours", "ratio")))
    console.print(table)
    (OUT / "serving.json").write_text(json.dumps(found, indent=2) + "\n")


def row(what: str, reference: str, ours: str, ratio: str) -> dict[str, str]:
    """One line of the result."""
    return {"what": what, "reference": reference, "ours": ours, "ratio": ratio}


def point(settings: Settings) -> dict[str, str]:
    """One symbol, three hours, 1,000 rows: engine against raw DuckDB on the one file it needs."""
    day = [path for path in files_of(settings, Name.TRADES) if "2026-01-07" in path]
    bound = {"files": day, "symbol": "S042", "start": START_US, "end": START_US + 3 * HOUR_US}
    request = RowsRequest(symbol=("S042",), start=START_US, end=START_US + 3 * HOUR_US)
    with closing(open_catalog(settings)) as catalog, closing(engine_of(settings, catalog)) as engine:
        connection = raw(settings)

        def by_hand() -> pa.Table:
            return connection.cursor().execute(POINT, bound).to_arrow_table()

        if (
            not by_hand()
            .select(["symbol", "offset"])
            .equals(engine.trades(request).rows.select(["symbol", "offset"]))
        ):
            raise RuntimeError("the two do not answer the same")
        pair = paired(by_hand, lambda: engine.trades(request), TURNS)
    return row(
        "one symbol, 3 h, 1,000 rows: raw SQL, engine",
        f"{pair.reference_ms:.1f} ms",
        f"{pair.ours_ms:.1f} ms",
        f"{pair.ratio:.2f}",
    )


def over_http(settings: Settings) -> Iterator[dict[str, str]]:
    """The same over HTTP, as JSON and Arrow, against the engine in this process."""
    request = RowsRequest(symbol=("S042",), start=START_US, end=START_US + 3 * HOUR_US)
    path = f"/v1/trades?symbol=S042&start={START_US}us&end={START_US + 3 * HOUR_US}us"
    with ExitStack() as stack:
        catalog = stack.enter_context(closing(open_catalog(settings)))
        engine = stack.enter_context(closing(engine_of(settings, catalog)))
        (port,) = stack.enter_context(servers(settings, 1))
        connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port)))
        found = times_ms(
            {
                "engine": lambda: engine.trades(request),
                "JSON": lambda: got(connection, path),
                "Arrow": lambda: got(connection, f"{path}&format=arrow&limit=1000"),
            },
            TURNS,
        )
    engine_ms = statistics.median(found.pop("engine"))
    for form, times in found.items():
        ms = statistics.median(times)
        yield row(
            f"the same over HTTP as {form}",
            f"{engine_ms:.1f} ms",
            f"{ms:.1f} ms",
            f"+{ms - engine_ms:.1f} ms",
        )


def clients(settings: Settings, processes: int) -> Iterator[dict[str, str]]:
    """Many clients that ask for a random symbol's hour, without a pause."""
    with servers(settings, processes) as ports:
        asyncio.run(storm(ports, 2.0))
        times = np.array(asyncio.run(storm(ports, CLIENTS_S)))
    p50, p99 = np.percentile(times, [50, 99])
    yield row(
        f"{CLIENTS} clients, 100 rows each, {processes} process(es)",
        f"{len(times) / CLIENTS_S:,.0f} /s",
        f"p50 {p50:.0f} ms",
        f"p99 {p99:.0f} ms",
    )


async def storm(ports: list[int], seconds: float) -> list[float]:
    """Milliseconds of every request."""
    times: list[float] = []
    end = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one(session, ports[n % len(ports)], n, end, times) for n in range(CLIENTS)))
    return times


async def one(session: aiohttp.ClientSession, port: int, seed: int, end: float, times: list[float]) -> None:
    """One client."""
    random = np.random.default_rng(seed)
    while time.monotonic() < end:
        start = MONDAY_US + int(random.integers(5)) * DAY_US + int(random.integers(5)) * HOUR_US
        path = f"/v1/trades?symbol=S{random.integers(SYMBOLS):03d}&start={start}us&end={start + HOUR_US}us&limit=100"
        begun = time.perf_counter()
        async with session.get(
            f"http://127.0.0.1:{port}{path}", headers={"Accept-Encoding": "identity"}
        ) as answer:
            await answer.read()
            answer.raise_for_status()
        times.append((time.perf_counter() - begun) * 1_000)


def got(connection: http.client.HTTPConnection, path: str) -> bytes:
    """Body of an answer."""
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(body.decode())
    return body


def raw(settings: Settings) -> duckdb.DuckDBPyConnection:
    """DuckDB as one would use it by hand, with as many threads."""
    connection = duckdb.connect()
    connection.execute(
        f"SET threads = {settings.query.threads}; SET TimeZone = 'UTC'; SET parquet_metadata_cache = true"
    )
    return connection


def engine_of(settings: Settings, catalog: Any) -> QueryEngine:
    """The engine in this process."""
    return QueryEngine(settings, catalog, exchanges.load())


@contextmanager
def servers(settings: Settings, count: int) -> Iterator[list[int]]:
    """Web-only processes on free ports."""
    with ExitStack() as stack:
        yield [stack.enter_context(server(settings)) for _ in range(count)]


@contextmanager
def server(settings: Settings) -> Iterator[int]:
    """A web-only process; its port."""
    port = free_port()
    environment = os.environ | {
        "K2_HOME": str(settings.home),
        "K2_LOGS_LEVEL": "warning",
        "K2_WEB_CONCURRENT": "256",
        "K2_WEB_RATE": "",
    }
    command = [sys.executable, "-c", "from k2app.cli.k2 import main; main()", "web", "--port", str(port)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            ready(port)
            yield port
        finally:
            process.terminate()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def ready(port: int) -> None:
    """Wait until a process can answer."""
    end = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main()
