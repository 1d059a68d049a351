"""What heavy queries cost ingestion and health: a worker that commits a steady stream, and 16 clients of bars.

    python bench/busy.py [--rows 1000000] [--seconds 20]

A worker has the given rows in its lake, and goes on committing 5,000 rows a second, a flush a second. Measured without
clients and with them, in turns: how old a block is when the lake has it (its lag), and how long `/health/live` takes.
Writes bench-out/busy.json.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import aiohttp
import numpy as np
from figures import OUT
from homes import EXCHANGE, Home, fresh
from rich.console import Console
from rich.table import Table
from serving import free_port, ready
from trades import blocks

from k2app import topology
from k2app.lake.catalog import load, open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.stream.logs_by_url import open_log
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry

CLIENTS = 16

BARS = "/v1/bars?interval=1m&format=arrow"

BLOCK_EVERY_S = 0.2

LOOK_EVERY_S = 0.05


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with fresh("embedded") as home:
        home.publish(options.rows, 100)
        home.k2("worker", "--drain")
        with worker(home) as port:
            found = [measure(home, port, options.seconds, clients) for clients in (0, CLIENTS)]
    table = Table(box=None, pad_edge=False)
    for column in found[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in found:
        table.add_row(*(f"{value:,}" for value in row.values()))
    Console(width=150).print(table)
    OUT.mkdir(exist_ok=True)
    (OUT / "busy.json").write_text(json.dumps(found, indent=2) + "\n")


def measure(home: Home, port: int, seconds: float, clients: int) -> dict[str, Any]:
    """Publish for some seconds while so many clients ask."""
    end = time.monotonic() + seconds
    health: list[float] = []
    probe = threading.Thread(target=look_at_health, args=(port, end, health))
    asking = subprocess.Popen(
        [sys.executable, __file__, "ask", str(port), str(clients), str(seconds)], stdout=-1
    )
    probe.start()
    lags = publish_and_look(home, end)
    probe.join()
    answered = int(asking.communicate()[0] or 0)
    return {
        "clients": clients,
        "bars_answered": answered,
        "lag_p50_s": round(float(np.percentile(lags, 50)), 2),
        "lag_p99_s": round(float(np.percentile(lags, 99)), 2),
        "live_p50_ms": round(float(np.percentile(health, 50)), 1),
        "live_p99_ms": round(float(np.percentile(health, 99)), 1),
        "live_max_ms": round(max(health), 1),
    }


def publish_and_look(home: Home, end: float) -> list[float]:
    """Publish a block at a time; returns how old each was when the lake was seen to have it."""
    log, served = open_log(home.settings), topology.topics(home.settings)
    topic, _ = served.topic(EXCHANGE, DataType.TRADES)
    catalog = open_catalog(home.settings)
    made = topology.initialise(home.settings, served, log, open_registry(home.settings, log.file), catalog)
    outlet = Outlet(
        topic.name, "symbol", topology.reader_schema(DataType.TRADES), made.subjects[topic.subject]
    )
    waiting: list[tuple[int, float]] = []
    lags: list[float] = []
    sent = before = committed(home, catalog)
    source = iter(block.slice(0, 1_000) for block in blocks(10**9, 100, seed=int(before)))
    with closing(log.publisher()) as publisher:
        due = time.monotonic()
        while waiting or time.monotonic() < end:
            if time.monotonic() < end and time.monotonic() >= due:
                publisher.publish(outlet, next(source))
                sent += 1_000
                waiting.append((sent, time.monotonic()))
                due += BLOCK_EVERY_S
            there = committed(home, catalog)
            lags += [time.monotonic() - at for rows, at in waiting if rows <= there]
            waiting = [(rows, at) for rows, at in waiting if rows > there]
            time.sleep(LOOK_EVERY_S)
    return lags


def committed(home: Home, catalog: Any) -> int:
    """Rows of the lake's trades."""
    snapshot = load(catalog, home.settings, Name.TRADES).current_snapshot()
    return 0 if snapshot is None or snapshot.summary is None else int(snapshot.summary["total-records"] or 0)


def look_at_health(port: int, end: float, times_ms: list[float]) -> None:
    """Ask whether the worker is alive, again and again."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        while time.monotonic() < end:
            begun = time.perf_counter()
            connection.request("GET", "/health/live")
            connection.getresponse().read()
            times_ms.append((time.perf_counter() - begun) * 1_000)
            time.sleep(LOOK_EVERY_S)


async def ask(port: int, clients: int, seconds: float) -> int:
    """Ask for every bar there is, with so many clients at once; returns how many answers came."""
    end, answers = time.monotonic() + seconds, 0

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal answers
        while time.monotonic() < end:
            async with session.get(f"http://127.0.0.1:{port}{BARS}") as answer:
                await answer.read()
                answers += answer.status == http.client.OK
            if answer.status != http.client.OK:
                await asyncio.sleep(0.2)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session) for _ in range(clients)))
    return answers


@contextmanager
def worker(home: Home) -> Iterator[int]:
    """A worker that serves; its port."""
    port = free_port()
    web = {
        "K2_WEB_ENABLED": "true",
        "K2_WEB_PORT": str(port),
        "K2_FLUSH_INTERVAL_S": "1",
        "K2_WEB_CONCURRENT": "64",
    }
    command = [sys.executable, "-m", "k2app.cli.k2", "worker"]
    with subprocess.Popen(command, env=os.environ | home.environment | web) as process:
        try:
            ready(port)
            yield port
        finally:
            process.terminate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        print(asyncio.run(ask(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
    else:
        main()
