"""A whole market on two exchanges: real files and generated ones, in loads as a person would make them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import groupby
from pathlib import Path

from k2app.lake.tables import Name
from k2app.market.sequence_keys import SEPARATOR
from k2app.market.sequence_rules import CONTINUOUS_SCOPE
from k2app.operate.changelogs import changelog_of, stored_states
from k2app.operate.opening import MAIN, looked_into
from k2app.settings import read_settings
from tests.exchange_files import INFO, symbols
from tests.pipeline.operate.commands import k2
from tests.services.kafka_homes import MarketHome, asked

GENERATE = Path(__file__).parents[2] / "demo" / "generate.py"

TRADES, QUOTES = 80_000, 120_000
"""Well-formed rows that are generated; malformed ones come on top."""

FROM_SECOND_PART, FROM_THIRD_PART = "2026-04-03", "2026-04-08"
"""First days of the later parts: each part has trades and quotes of both exchanges."""

BY_RUN = frozenset({"log_id", "ingested_at", "commit_id", "committed_at", "log_timestamp"})
"""Columns that say when, and by which flush, a row came."""

OF_LOAD = (
    "exchange",
    "data_type",
    "profile",
    "sequence_mode",
    "symbol",
    "rows",
    "rejects",
    "numbers",
    "sent",
)
"""What the ledger says of a load, whenever and on whatever log it was."""

PLACE = ("topic", "partition", "offset")


@dataclass(frozen=True)
class Load:
    """One `k2 load`; `venue` is the shipped exchange whose rules hold."""

    venue: str
    data_type: str
    files: tuple[Path, ...]
    options: tuple[str, ...] = ()


def real_loads(folder: Path) -> list[Load]:
    """The exchange's own files, reference data first."""
    reference = ("--profile", "asx", "--reference", str(folder / INFO))
    files = {
        kind: tuple(folder / f"asx-{kind}-{symbol}.csv" for symbol in symbols(folder))
        for kind in ("trades", "quotes")
    }
    return [
        Load("asx", "reference_data", (folder / INFO,), ("--profile", "asx")),
        *(Load("asx", kind, files[kind], reference) for kind in files),
    ]


def generated_parts(folder: Path) -> list[list[Load]]:
    """Make the demo's market in `folder`, in three parts by day; the files of a type are in their order."""
    sizes = ["--trades", str(TRADES), "--quotes", str(QUOTES), "--seed", "11"]
    subprocess.run([sys.executable, GENERATE, folder, *sizes], check=True, stdout=subprocess.DEVNULL)
    book = json.loads((folder / "ledger.json").read_text())
    found = sorted(
        (_part(name), file["exchange"], file["data_type"], name) for name, file in book["files"].items()
    )
    return [
        [
            Load(*kind, tuple(folder / entry[3] for entry in entries))
            for kind, entries in groupby(of_part, key=lambda entry: entry[1:3])
        ]
        for _, of_part in groupby(found, key=lambda entry: entry[0])
    ]


def _part(name: str) -> int:
    date = name.removesuffix(".csv")[-len(FROM_SECOND_PART) :]
    return 0 if name.startswith("reference-") else (date >= FROM_SECOND_PART) + (date >= FROM_THIRD_PART)


class WholeHome(MarketHome):
    """A home with the shipped exchanges asx and binance, under names that begin with `prefix`."""

    def __init__(self, path: Path, prefix: str, **environment: str) -> None:
        super().__init__(path, prefix, **environment)
        shipped = resources.files("k2app.market").joinpath("exchanges.toml").read_text(encoding="utf-8")
        renamed = re.sub(r"^\[(asx|binance)\b", rf"[{prefix}-\1", shipped, flags=re.MULTILINE)
        (path / "exchanges.toml").write_text(renamed)
        self.environment["K2_EXCHANGES"] = f"{prefix}-asx,{prefix}-binance"

    @cached_property
    def settings(self):
        """As `MarketHome.settings`, with both exchanges."""
        given = super().settings
        return read_settings(
            home=given.home,
            exchanges=self.environment["K2_EXCHANGES"],
            exchanges_file=given.exchanges_file,
            consumer_group=given.consumer_group,
            log={"url": given.log.url},
            registry={"url": given.registry.url},
        )

    def load(self, loads: list[Load]) -> None:
        """Run `k2 load` for each, in their order."""
        for one in loads:
            files = [str(file) for file in one.files]
            exchange = f"{self.exchange}-{one.venue}"
            k2(self, "load", *files, "--exchange", exchange, "--type", one.data_type, *one.options)

    # --- what is there

    def on_log(self) -> int:
        """Records that were published."""
        with looked_into(self.settings) as found:
            return sum(end for _, end in found.log.bounds(found.served.by_name).values())

    def in_lake(self) -> int:
        """Offsets that the lake has."""
        return sum(sum(self.floors(name).values()) for name in MAIN)

    def stable_members(self) -> int:
        """Workers between which the partitions are dealt out; 0 while they are being dealt."""
        answers = asked(self.settings.log_url, lambda admin: admin.describe_consumer_groups([self.group]))
        (group,) = [group for answer in answers for group in answer.to_object()["groups"]]
        return len(group["members"]) if group["state"] == "Stable" else 0

    def everything(self) -> dict[str, list[dict]]:
        """Rows of every table and states of every partition; nothing that differs from one run to the next."""
        files = {row["load_id"]: Path(row["file"]).name for row in self._table(Name.LOADS)}
        found = {
            str(name): [_without_run(row, files) for row in self._table(name)]
            for name in (*MAIN, Name.GAPS, Name.DEAD_LETTERS)
        }
        loads = [
            {key: row[key] for key in OF_LOAD} for row in self._table(Name.LOADS) if row["state"] == "sent"
        ]
        return found | {"loads": loads, "states": list(self._states())}

    def _table(self, name: Name) -> list[dict]:
        rows = self.table(name).scan().to_arrow()
        keys = ("recorded_at",) if name is Name.LOADS else (*PLACE, "event_index")
        return rows.sort_by([(key, "ascending") for key in keys if key in rows.column_names]).to_pylist()

    def _states(self) -> Iterator[dict]:
        floors = {place: end for name in MAIN for place, end in self.floors(name).items()}
        with looked_into(self.settings) as found:
            for topic, partition in sorted(floors):
                states, mark = stored_states(found.log, changelog_of(self.group, topic), partition)
                yield {
                    "topic": topic,
                    "partition": partition,
                    "floor": floors[topic, partition],
                    "watermark": None if mark is None else mark.next_offset,
                    "whole": mark is None or mark.digest == states.digest(),
                    "states": _of_open_dates(states.to_primitives(), self.settings.state.keep_days),
                }


def _of_open_dates(states: dict[str, list], keep_days: int) -> dict[str, list]:
    """States but those of dates so old that they may leave: the next flush takes them, and flushes differ."""
    scopes = {key: int(key.partition(SEPARATOR)[0]) for key in states}
    horizon = max(scopes.values(), default=CONTINUOUS_SCOPE) - keep_days
    return {
        key: state
        for key, state in states.items()
        if scopes[key] == CONTINUOUS_SCOPE or scopes[key] >= horizon
    }


def _without_run(row: dict, files: dict[str, str]) -> dict:
    """A row without what says when it came; its load is told by the file."""
    kept = {key: value for key, value in row.items() if key not in BY_RUN}
    return kept | ({"load_id": files[row["load_id"]]} if row.get("load_id") else {})


def differences(mine: dict[str, list[dict]], other: dict[str, list[dict]]) -> list[str]:
    """What differs between two homes, of each table the first; empty: nothing."""
    assert mine.keys() == other.keys()
    return [problem for name, rows in mine.items() for problem in _differences(name, rows, other[name])]


def _differences(name: str, mine: list[dict], other: list[dict]) -> Iterator[str]:
    if len(mine) != len(other):
        yield f"{name}: {len(mine):,} rows, {len(other):,} in the other"
    first = next(((a, b) for a, b in zip(mine, other, strict=False) if a != b), None)
    if first is not None:
        keys = [key for key in first[0] if first[0][key] != first[1].get(key)]
        yield f"{name}: {keys} differ: {first[0]} and {first[1]}"
