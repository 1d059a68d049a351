"""The replay as a query: for documents, and for the forms that all queries have."""

from __future__ import annotations

from k2app.errors import RequestError
from k2app.query.answers.result import Result
from k2app.query.query import Query
from k2app.query.reading.reader import Reader
from k2app.query.replay.replay import stream_replay
from k2app.query.replay.request import ReplayRequest


def _no_page(_reader: Reader, _request: ReplayRequest) -> Result:
    raise RequestError("format", "a replay has no pages; it takes ndjson, sse, arrow, csv or parquet")


REPLAY_QUERY = Query(
    "replay",
    "/v1/replay",
    "Trades and quotes merged in the order in which they happened, at any speed, from pinned snapshots.",
    ReplayRequest,
    _no_page,
    (),
    (
        "replay --symbol BHP --start 2026-01-05T00:00:00Z --speed 60",
        "replay --data-type trades --to replay.bhp --rate 1000",
    ),
    stream_replay,
)
"""Not among `QUERIES`: its rows come as a stream only."""
