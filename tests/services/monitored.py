"""A worker and a web server of one home that asks for keys, and traffic that moves what they measure."""

import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import httpx
import pyarrow as pa

from k2app.market.topics import DataType
from k2app.operate.key_file import key_file
from k2app.operate.keys import Scope, new_key
from tests.pipeline.homes import REFERENCE, Home, trades
from tests.services.servers import free_port, running

ANSWER_WITHIN_S = 30.0
"""Deadline of one request: far above what it takes, so that only a hang meets it."""

DAY = "start=2026-01-05T00:00:00Z&end=2026-01-06T00:00:00Z"

NO_KEY, WRONG_KEY = "", "k2_0123456789ab_0123456789abcdef"

ASKED = {
    "reader": [
        f"/v1/trades?symbol=S0&limit=5&{DAY}",
        f"/v1/quotes?symbol=S0&limit=5&{DAY}",
        f"/v1/bars?symbol=S1&interval=1m&{DAY}",
        "/v1/gaps?limit=5",
        "/v1/stats",
        "/v1/trades?limit=none",
        "/v1/nothing",
        "/v1/replay",
        "/health/ready",
    ],
    "replayer": [f"/v1/replay?symbol=S0&{DAY}"],
    "hasty": ["/v1/symbols", "/v1/symbols"],
    "wrong": ["/v1/trades"],
    "none": ["/v1/trades"],
}
"""What is asked in each round, by whom: answers, pages that are not there, refusals for every reason."""


@dataclass
class Monitored:
    """What runs."""

    home: Home
    worker_port: int
    web_port: int
    client: httpx.Client
    keys: dict[str, str]
    rounds: Iterator[int] = field(default_factory=itertools.count)

    def key(self, name: str) -> Path:
        """File of a key."""
        path = self.home.path / f"{name}.key"
        path.write_text(self.keys[name])
        return path

    def traffic(self) -> None:
        """One round: records and questions."""
        self.publish()
        for name, paths in ASKED.items():
            for path in paths:
                for port in (self.worker_port, self.web_port):
                    self.ask(port, path, self.keys[name])

    def publish(self) -> None:
        """Gaps small and large, some filled late, copies, and records that nobody can read."""
        first = 1 + 100 * next(self.rounds)
        counted = [("S0", first + i) for i in range(40)]
        self.home.publish(trades([*counted, ("S0", first + 50), ("S0", first + 45), *counted[:2]]))
        self.home.publish(quotes(trades([("S1", first), ("S1", first + 50)])), DataType.QUOTES)
        self.home.publish(company(f"{first}"), DataType.REFERENCE_DATA)
        self.home.publish_raw([(b"S0", b"not avro")])
        self.home.publish_raw([(b"7078", None)], topic=REFERENCE)

    def ask(self, port: int, path: str, key: str) -> int:
        """Status of an answer, which is read to its end."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return self.client.get(f"http://127.0.0.1:{port}{path}", headers=headers).status_code


def quotes(rows: pa.Table) -> pa.Table:
    """Quotes instead of trades; no one offers."""
    names = {"price": "bid_price", "quantity": "bid_quantity"}
    rows = rows.drop_columns(["side", "trade_id"])
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    nothing = pa.nulls(len(rows), pa.decimal128(18, 8))
    return rows.append_column("ask_price", nothing).append_column("ask_quantity", nothing)


def company(company_id: str) -> pa.Table:
    """One company."""
    kept = [
        "symbol",
        "exchange",
        "asset_class",
        "currency",
        "ingested_at",
        "load_id",
        "source_line",
        "attributes",
    ]
    rows = trades([("BHP", None)]).select(kept)
    for name, kind in (("name", pa.string()), ("isin", pa.string())):
        rows = rows.append_column(name, pa.nulls(1, kind))
    for name in ("listed_from", "listed_to"):
        rows = rows.append_column(name, pa.nulls(1, pa.date32()))
    return rows.append_column("company_id", pa.array([company_id]))


@contextlib.contextmanager
def monitored(folder: Path) -> Iterator[Monitored]:
    """Run a worker and a web server until the end of the block."""
    often = {"K2_FLUSH_INTERVAL_S": "0.3", "K2_METRICS_LOOK_S": "0.5", "K2_WEB_KEYS": "required"}
    home = Home(folder / "home", K2_WEB_ENABLED="true", **often)
    ports = {"worker": free_port(), "web": free_port()}
    keys = {"wrong": WRONG_KEY, "none": NO_KEY}
    for name, scope, rate in (
        ("reader", Scope.READ, None),
        ("replayer", Scope.REPLAY, None),
        ("hasty", Scope.READ, "1/d"),
    ):
        made = new_key(name, [scope], rate, None, datetime.now(UTC))
        key_file(home.settings).add(made.key)
        keys[name] = made.text
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(httpx.Client(trust_env=False, timeout=ANSWER_WITHIN_S))
        found = Monitored(home, ports["worker"], ports["web"], client, keys)
        # The worker finds states of one before it.
        found.publish()
        home.drain(K2_WEB_ENABLED="false")
        for name, port in ports.items():
            command = [sys.executable, "-m", "k2app.cli.k2", name]
            environment = home.environment | {"K2_WEB_PORT": str(port)}
            stack.enter_context(
                running(command, folder / f"{name}.out", lambda p=port: is_ready(client, p), **environment)
            )
        yield found


def is_ready(client: httpx.Client, port: int) -> bool:
    """Whether a process can do its work."""
    with contextlib.suppress(httpx.TransportError):
        return client.get(f"http://127.0.0.1:{port}/health/ready").status_code == HTTPStatus.OK
    return False
