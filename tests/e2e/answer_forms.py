"""Answers over HTTP in every form, read by other means than K2's and made alike."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]

FORMS = ("json", "ndjson", "csv", "arrow", "parquet")

BY_RUN = frozenset({"ingested_at", "committed_at", "commit_id", "log_id", "load_id"})
"""Columns that no file tells."""


class Asking:
    """Asks a server."""

    def __init__(self, server) -> None:
        self.get = server.get

    def raw(self, path: str, **asked: Any) -> bytes:
        """The body of an answer."""
        answer = self.get(path, params=texts(asked))
        assert 200 == answer.status_code, answer.text
        return answer.content

    def page(self, path: str, **asked: Any) -> dict[str, Any]:
        """One page as JSON."""
        return json.loads(self.raw(path, **asked))

    def pages(self, path: str, limit: int, **asked: Any) -> list[Row]:
        """Every row, page after page; each but the last is full."""
        found: list[Row] = []
        page = self.page(path, limit=limit, **asked)
        while page["next"] is not None:
            assert limit == len(page["rows"])
            found += page["rows"]
            page = self.page(path, limit=limit, cursor=page["next"], **asked)
        return found + page["rows"]

    def rows(self, path: str, form: str, **asked: Any) -> list[Row]:
        """Every row of a streamed form; of CSV all values are text."""
        return READ[form](self.raw(path, format=form, **asked))

    def events(self, path: str, **asked: Any) -> list[tuple[str, Row]]:
        """Rows sent as events, each with the token that resumes after it."""
        found = []
        for event in self.raw(path, format="sse", **asked).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in event.splitlines())
            if fields.get("event") in {"trade", "quote"}:
                found.append((fields["id"], json.loads(fields["data"])))
        return found


def texts(asked: dict[str, Any]) -> list[tuple[str, str]]:
    """Parameters of a URL."""
    return [
        (name, text(each))
        for name, value in asked.items()
        for each in (value if isinstance(value, list | tuple) else [value])
        if each is not None
    ]


def text(value: object) -> str:
    """A value as JSON strings and parameters have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        written = f"{value:f}"
        return written.rstrip("0").rstrip(".") if "." in written else written
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


def plain(rows: Iterable[Row]) -> list[Row]:
    """Rows as JSON has them."""
    return [{name: _plain(value) for name, value in row.items() if name not in BY_RUN} for row in rows]


def _plain(value: object) -> object:
    if isinstance(value, Decimal | dt.date):
        return text(value)
    return value


def in_csv(rows: Iterable[Row]) -> list[Row]:
    """Rows as CSV has them: nothing is empty, lists are JSON."""
    return [{name: _cell(value) for name, value in row.items()} for row in plain(rows)]


def _cell(value: object) -> str:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "" if value is None else text(value)


def _from_json(body: bytes) -> list[Row]:
    return plain(json.loads(body)["rows"])


def _from_ndjson(body: bytes) -> list[Row]:
    """Rows; what the last line says of them is so."""
    lines = body.splitlines(keepends=True)
    read = [json.loads(line) for line in lines]
    told = [line for line, row in zip(lines, read, strict=True) if "control" not in row]
    assert "start" == read[0]["control"]
    assert ("end", len(told)) == (read[-1]["control"], read[-1]["rows"])
    assert hashlib.sha256(b"".join(told)).hexdigest() == read[-1]["sha256"]
    return plain(row for row in read if "control" not in row)


def _from_csv(body: bytes) -> list[Row]:
    found = csv.DictReader(io.StringIO(body.decode(), newline=""))
    return [{name: value for name, value in row.items() if name not in BY_RUN} for row in found]


def _from_arrow(body: bytes) -> list[Row]:
    return plain(pa.ipc.open_stream(body).read_all().to_pylist())


def _from_parquet(body: bytes) -> list[Row]:
    return plain(pq.read_table(io.BytesIO(body)).to_pylist())


READ = {
    "json": _from_json,
    "ndjson": _from_ndjson,
    "csv": _from_csv,
    "arrow": _from_arrow,
    "parquet": _from_parquet,
}
