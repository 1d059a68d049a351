"""A lake that grows while a server answers: what was asked before, and how to ask for what was there then."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2app.client import Client
from tests.e2e.answer_forms import Asking
from tests.e2e.csv_market import Market
from tests.e2e.drawn_questions import PINS, RETRACTED
from tests.e2e.grown_lake import MarketHome

TAG = "before"

WITHDRAWN = (
    "asx-trades-2026-04-07.csv",
    "asx-quotes-2026-04-02-odd.csv",
    "binance-quotes-2026-04-05.csv",
    "binance-trades-2026-04-04.csv",
)
"""Files whose loads are retracted when all is there; of some of their rows later files have copies."""

RECORDED = (
    ("/v1/trades", {"limit": 5000}),
    ("/v1/trades", {"order": "desc", "limit": 7, "columns": ["timestamp", "price"], "format": "csv"}),
    ("/v1/trades", {"format": "parquet"}),
    ("/v1/quotes", {"format": "ndjson"}),
    ("/v1/quotes", {"symbol": "HLX", "include_duplicates": True, "format": "arrow"}),
    ("/v1/bars", {"interval": "1h", "align": "session", "fill": "previous"}),
    ("/v1/summary", {"start_date": "2026-04-01", "end_date": "2026-04-10"}),
    ("/v1/summary/CRW/2026-04-02", {}),
    ("/v1/taq", {"symbol": ["CRW", "BTCUSDT"], "limit": 500}),
    ("/v1/symbols", {}),
    ("/v1/range", {}),
    ("/v1/completeness", {"data_type": "quotes"}),
    ("/v1/completeness", {}),
    ("/v1/gaps", {"limit": 3}),
    ("/v1/gaps", {"events": True}),
    ("/v1/stats", {}),
    ("/v1/replay", {"symbol": ["FNX", "ETHUSDT"]}),
)
"""Questions asked before the lake grew, and after."""

OF_TYPES = {
    "/v1/completeness": (None, "trades", "quotes"),
    "/v1/range": (None, "trades", "quotes"),
    "/v1/replay": (None, "both", "trades", "quotes"),
    "/v1/gaps": (None, "trades", "quotes"),
}
"""Questions of which the tables are asked for."""


@dataclass(repr=False)
class Lake:
    """A lake that has grown, and what its files say of it before and after."""

    home: MarketHome
    asking: Asking
    client: Client
    before: Market
    grown: Market = field(default_factory=Market)
    now: Market = field(default_factory=Market)
    files: dict[str, str] = field(default_factory=dict)
    pins: dict[tuple[str, str | None], dict[str, str]] = field(default_factory=dict)
    recorded: dict[tuple[int, str], bytes] = field(default_factory=dict)
    first_pages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "lake"

    def market(self, pin: str | None) -> Market:
        """What there is, was or would be."""
        return {None: self.now, RETRACTED: self.grown}.get(pin, self.before)

    def pin(self, name: str | None, path: str, data_type: str | None = None) -> dict[str, str]:
        """The parameter that asks for it."""
        return (
            {name: "true"}
            if name == RETRACTED
            else {}
            if name is None
            else {name: self.pins[path, data_type][name]}
        )

    def record(self) -> None:
        """Ask what is to be asked again when the lake has grown."""
        for path in {path for path, _ in RECORDED}:
            for data_type in OF_TYPES.get(path, (None,)):
                self.pins[path, data_type] = self._pins(path, data_type)
        for number, (path, asked) in enumerate(RECORDED):
            for name in PINS:
                self.recorded[number, name] = self.asking.raw(
                    path, **asked, **self.pin(name, path, asked.get("data_type"))
                )
        for path in ("/v1/trades", "/v1/quotes", "/v1/bars", "/v1/taq", "/v1/completeness", "/v1/gaps"):
            self.first_pages[path] = self.asking.page(path, limit=40)

    def _pins(self, path: str, data_type: str | None) -> dict[str, str]:
        asked = {"start_date": "2026-04-01"} if path == "/v1/summary" else {}
        raw = self.asking.raw(path, **asked, data_type=data_type)
        said = json.loads(raw.splitlines()[0] if path == "/v1/replay" else raw)
        mains = [name for name in ("trades", "quotes") if name in said["snapshots"]] or list(
            said["snapshots"]
        )
        newest = max(mains, key=self._committed)
        return {
            "snapshot_id": str(said["snapshots"][newest]),
            "as_of": said["as_of"],
            "snapshots": ",".join(f"{k}:{'none' if v is None else v}" for k, v in said["snapshots"].items()),
            "tag": TAG,
        }

    def _committed(self, table: str) -> str:
        (newest,) = self.asking.page("/v1/snapshots", table=table, limit=1)["rows"]
        return newest["committed_at"]


def read(folder: Path, names: list[str]) -> Market:
    """What the files say, in the order in which they were loaded."""
    market = Market()
    for name in names:
        if not name.startswith("reference-"):
            market.add(folder / name)
    return market
