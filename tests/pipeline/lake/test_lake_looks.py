"""Looks at a lake for health checks: cheap, and each says what is wrong with its part."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyiceberg.table.metadata import TableMetadataUtil

from k2app.errors import OperatorError, TransientError
from k2app.lake.catalog import load, open_catalog
from k2app.lake.fileio import local_path
from k2app.lake.looks import Looks
from k2app.lake.tables import Name
from k2app.settings import LakeSettings, Settings
from tests.query_lake import append, trade


def metadata_file(catalog, settings) -> Path:
    return local_path(load(catalog, settings, Name.TRADES).metadata_location)


@pytest.fixture
def parsed(monkeypatch):
    """Metadata that was parsed, whoever asked for it."""
    found = []
    parse = TableMetadataUtil.parse_raw
    monkeypatch.setattr(TableMetadataUtil, "parse_raw", lambda data: found.append(data) or parse(data))
    return found


def test_metadata_is_not_read(catalog, settings, parsed):
    """It grows with every snapshot, and anybody may ask for readiness."""
    append(catalog, settings, "trades", [trade(0)])
    parsed.clear()
    looks = Looks(catalog, settings)
    looks.catalog()
    looks.warehouse()
    assert [] == parsed
    load(catalog, settings, Name.TRADES)
    assert 1 == len(parsed)


def test_requests_are_observed(catalog, settings):
    """As those of queries are."""
    heard = []
    Looks(catalog, settings, observe=lambda operation, _, failed: heard.append((operation, failed))).catalog()
    assert [("list_locations", False)] == heard


def test_warehouse_is_asked_for_the_newest_metadata(catalog, settings):
    """The file in force, not the one at the start; without it, the catalog is in order and the warehouse is not."""
    looks = Looks(catalog, settings)
    looks.warehouse()
    append(catalog, settings, "trades", [trade(0)])
    metadata_file(catalog, settings).unlink()
    looks.catalog()
    with pytest.raises(OperatorError, match="restore it, or mount it"):
        looks.warehouse()


def test_table_that_is_not_there_is_told(catalog, settings):
    """With the way out."""
    catalog.drop_table((settings.lake.namespace, "trades"))
    for look in (Looks(catalog, settings).catalog, Looks(catalog, settings).warehouse):
        with pytest.raises(OperatorError, match=r"market_data\.trades does not exist: run `k2 init`"):
            look()


# --- REST


class Rest(ThreadingHTTPServer):
    """As much of a REST catalog as is asked here: whether there is a table, and the table."""

    def __init__(self, metadata_location: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.metadata_location = metadata_location
        self.asked: list[str] = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(self.server.status)

    def do_GET(self):
        if self.path.startswith("/v1/config"):
            known = ["HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}"]
            known += ["GET /v1/{prefix}/namespaces/{namespace}/tables/{table}"]
            self._answer(200, {"defaults": {}, "overrides": {}, "endpoints": known})
            return
        at = self.server.metadata_location
        metadata = json.loads(at.read_bytes())
        self._answer(200, {"metadata-location": f"file://{at}", "metadata": metadata, "config": {}})

    def _answer(self, status, document=None):
        if not self.path.startswith("/v1/config"):
            self.server.asked.append(self.command)
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def rest(metadata_location):
    server = Rest(metadata_location)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def served(catalog, settings):
    """A REST catalog's server over the lake's trades, and looks through it."""
    with rest(metadata_file(catalog, settings)) as server:
        lake = LakeSettings(
            uri=f"http://127.0.0.1:{server.server_port}", warehouse=f"{settings.home}/warehouse"
        )
        by_rest = Settings(home=settings.home, lake=lake)
        opened = open_catalog(by_rest)
        yield server, Looks(opened, by_rest)
        opened.close()


def test_rest_catalog_is_asked_without_the_table(served):
    """A HEAD, whose answer does not grow; the table itself is loaded once, to know where the warehouse is."""
    server, looks = served
    for _ in range(3):
        looks.catalog()
        looks.warehouse()
    assert ["HEAD", "GET", "HEAD", "HEAD"] == server.asked


def test_rest_catalog_that_fails_is_told(served):
    """As what it is: not there, or away."""
    server, looks = served
    server.status = 404
    with pytest.raises(OperatorError, match=r"market_data\.trades does not exist: run `k2 init`"):
        looks.catalog()
    server.status = 503
    with pytest.raises(TransientError, match=r"market_data\.trades does not answer"):
        looks.catalog()


def test_file_that_was_replaced_is_no_fault(served, catalog, settings):
    """The table has gone on, and the file that it was known by was deleted: the newer one counts."""
    server, looks = served
    looks.warehouse()
    append(catalog, settings, "trades", [trade(0)])
    old, server.metadata_location = server.metadata_location, metadata_file(catalog, settings)
    old.unlink()
    looks.warehouse()
    server.metadata_location.rename(server.metadata_location.with_name("moved"))
    server.metadata_location, kept = server.metadata_location.with_name("moved"), server.metadata_location
    looks.warehouse()
    assert not kept.exists()
    assert ["GET", "GET", "GET"] == server.asked
