"""What the lake must hold, worked out from CSV files by the standard library alone.

Rows are what HTTP shows of them as JSON (decimals as Decimal, times as datetime), but for what each run makes anew.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.unit.demo import market_oracle

Row = dict[str, Any]

ZONES = {"asx": ZoneInfo("Australia/Sydney"), "binance": dt.UTC}
"""Zone of each exchange; trading dates begin at its midnight."""

MARKETS = {"asx": ("equities", "AUD", 2), "binance": ("crypto", "USDT", 4)}
"""Asset class, currency, partitions of a topic."""

AMOUNTS = {
    "trades": ("price", "quantity"),
    "quotes": ("bid_price", "bid_quantity", "ask_price", "ask_quantity"),
}

OFF_MARKET = {"asx": {"1", "3", "9"}, "binance": set()}
"""Conditions of prints that stand in no bar."""

OFF_VENUES = {"asx": {"X"}, "binance": set()}
"""Venues of such."""


@dataclass
class Opened:
    """Numbers that a row showed to be missing."""

    exchange: str
    data_type: str
    symbol: str
    scope: str | None
    epoch: int
    first: int
    last: int
    timestamp: dt.datetime
    filled: dict[int, dt.datetime] = field(default_factory=dict)
    is_abandoned: bool = False

    @property
    def day(self) -> dt.date:
        """The trading date of its scope, or of the row that showed it."""
        return trading_date(self.exchange, self.timestamp)

    def left(self) -> list[tuple[int, int]]:
        """What never came, as ranges."""
        missing = [n for n in range(self.first, self.last + 1) if n not in self.filled]
        starts = [n for n in missing if n - 1 not in missing]
        return list(zip(starts, [n for n in missing if n + 1 not in missing], strict=True))

    @property
    def outcome(self) -> str:
        """What became of it."""
        if not self.left():
            return "filled"
        return "abandoned" if self.is_abandoned else "open"


@dataclass(repr=False)
class Market:
    """Rows by data type in the order in which they came, and gaps."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {"trades": [], "quotes": []})
    gaps: list[Opened] = field(default_factory=list)
    rejected: int = 0
    _states: dict[tuple[str, str], dict[tuple[str, str | None], market_oracle.State]] = field(
        default_factory=dict
    )
    _ends: Counter[tuple[str, int]] = field(default_factory=Counter)
    _said: set[tuple[str, ...]] = field(default_factory=set)

    def add(self, path: Path) -> None:
        """Add the rows of one file."""
        exchange, data_type = path.name.split("-")[:2]
        for line, cells, _ in market_oracle.rows(path):
            if cells is None or _is_malformed(cells):
                self.rejected += 1
                continue
            row = _row(exchange, data_type, cells) | {"file": path.name, "source_line": line}
            row["offset"] = self._ends[row["topic"], row["partition"]]
            self._ends[row["topic"], row["partition"]] += 1
            row["sequence_flag"], row["epoch"] = self._checked(row, cells, data_type)
            row |= {"is_copy": row["sequence_flag"] == "duplicate", "is_retracted": False}
            self.rows[data_type].append(row)

    def without(self, files: Collection[str]) -> Market:
        """The same market where the loads of these files are retracted; gaps stay what they are."""
        rows = {data_type: _retracted(data_type, own, files) for data_type, own in self.rows.items()}
        return Market(rows, self.gaps, self.rejected)

    def _checked(self, row: Row, cells: market_oracle.Row, data_type: str) -> tuple[str, int]:
        """Flag and epoch of a row, by what came before it."""
        if row["sequence"] is None:
            return "unsequenced", 0
        states = self._states.setdefault((row["exchange"], data_type), {})
        key = (row["symbol"], market_oracle.scope_of(row["exchange"], cells))
        grows = (row["exchange"], data_type) == ("binance", "quotes")
        events = len(states[key].events) if key in states else 0
        check = market_oracle.increasing if grows else market_oracle.contiguous
        flag = check(states, row["exchange"], cells)
        self._note(row, data_type, key, states[key].events[events:])
        return self._copied(row, flag, data_type), states[key].epoch

    def _copied(self, row: Row, flag: str, data_type: str) -> str:
        """The flag, settled by content: a copy says what a row before it said; else it contradicts it."""
        content = _content(data_type, row)
        is_copy = content in self._said
        self._said.add(content)
        if flag == "duplicate" and not is_copy:
            return "conflict"
        return "duplicate" if flag == "regressed" and is_copy else flag

    def _note(
        self, row: Row, data_type: str, key: tuple[str, str | None], events: list[tuple[str, int, int, int]]
    ) -> None:
        """Note what became of gaps with this row."""
        mine = [
            gap
            for gap in self.gaps
            if (gap.exchange, gap.data_type, gap.symbol, gap.scope) == (row["exchange"], data_type, *key)
        ]
        for event, first, last, epoch in events:
            for gap in mine:
                if event == "filled" and gap.epoch == epoch and gap.first <= first <= gap.last:
                    gap.filled[first] = row["timestamp"]
                if event == "abandoned" and gap.epoch == epoch:
                    gap.is_abandoned = True
            if event == "opened":
                place = (row["exchange"], data_type, *key, epoch, first, last)
                self.gaps.append(Opened(*place, row["timestamp"]))


CONTENT = {
    kind: ("timestamp", *amounts, "conditions", *(("side", "trade_id") if kind == "trades" else ()))
    for kind, amounts in AMOUNTS.items()
}
"""What one record says and another with its number may not."""


def _retracted(data_type: str, rows: list[Row], files: Collection[str]) -> list[Row]:
    """Rows with what a retraction makes of them: of what nothing else says any more, the first copy stands for it."""
    said: set[tuple[str, ...]] = {
        _content(data_type, row) for row in rows if not row["is_copy"] and row["file"] not in files
    }
    found = []
    for row in rows:
        is_retracted = row["file"] in files
        is_copy = row["is_copy"] and (is_retracted or _content(data_type, row) in said)
        if not is_retracted:
            said.add(_content(data_type, row))
        found.append(row | {"is_retracted": is_retracted, "is_copy": is_copy})
    return found


def _content(data_type: str, row: Row) -> tuple[str, ...]:
    return (data_type, *(str(row[name]) for name in ("exchange", "symbol", "sequence", *CONTENT[data_type])))


def _is_malformed(cells: market_oracle.Row) -> bool:
    """Whether a field is not what it should be; of what a source need not say, nothing is nothing wrong."""
    said = {name: text for name, text in cells.items() if text or name not in {"sequence", "side"}}
    return market_oracle.fault(said) is not None


def _row(exchange: str, data_type: str, cells: market_oracle.Row) -> Row:
    asset_class, currency, partitions = MARKETS[exchange]
    timestamp = dt.datetime.fromisoformat(cells["timestamp"])
    row: Row = {
        "symbol": cells["symbol"],
        "exchange": exchange,
        "asset_class": asset_class,
        "timestamp": timestamp,
        "currency": currency,
        "conditions": [text for text in cells["conditions"].split(";") if text],
        "sequence": int(cells["sequence"]) if cells["sequence"] else None,
        "attributes": None,
        "trading_date": trading_date(exchange, timestamp),
        "topic": f"market.{asset_class}.{data_type}.{exchange}",
        "partition": (murmur2(cells["symbol"].encode()) & 0x7FFFFFFF) % partitions,
    }
    row |= {name: Decimal(cells[name]) if cells[name] else None for name in AMOUNTS[data_type]}
    if data_type == "trades":
        row |= {"side": cells["side"] or "UNKNOWN", "trade_id": cells["trade_id"] or None}
    return row


def trading_date(exchange: str, timestamp: dt.datetime) -> dt.date:
    """Date on the exchange's clock."""
    return timestamp.astimezone(ZONES[exchange]).date()


def is_off_market(row: Row) -> bool:
    """Whether a trade stands in no bar."""
    venue = (row["attributes"] or {}).get("venue")
    return venue in OFF_VENUES[row["exchange"]] or bool(OFF_MARKET[row["exchange"]] & set(row["conditions"]))


def total_order(row: Row) -> tuple[Any, ...]:
    """Where a row stands among those of its table."""
    number = row["sequence"]
    return (
        *(row["timestamp"], number is not None, number or 0),
        *(row["topic"], row["partition"], row["offset"]),
    )


def murmur2(data: bytes) -> int:
    """Hash of a key. Source: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2."""
    mixer, mask = 0x5BD1E995, 0xFFFFFFFF
    found = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * mixer & mask
        word = (word ^ word >> 24) * mixer & mask
        found = (found * mixer & mask) ^ word
    if data[whole:]:
        found = (found ^ int.from_bytes(data[whole:], "little")) * mixer & mask
    found = (found ^ found >> 13) * mixer & mask
    return found ^ found >> 15
