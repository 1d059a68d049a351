"""Small files and the way they are read in these tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from k2app.load import profiles
from k2app.load.reader import Block, Context, Reject, read
from k2app.market import exchanges
from k2app.market.topics import DataType

DATA = Path(__file__).parents[2] / "data" / "asx"
LOAD_ID = "0f" * 16
INGESTED_AT_US = 1_400_000_000_123_456
BLOCK_BYTES = 1 << 20
HEADER = "symbol,timestamp,price,quantity"


@cache
def configured():
    return exchanges.load()


def context(exchange="generic", symbol=None, sequence="source", block_bytes=BLOCK_BYTES):
    return Context(configured()[exchange], LOAD_ID, INGESTED_AT_US, symbol, sequence, block_bytes)


def write(folder, text, name="file.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_k2(folder, text, data_type=DataType.TRADES, **how) -> list[Block]:
    path = write(folder, text)
    return list(read(path, profiles.load("k2"), data_type, context(**how)))


def read_asx(path, data_type=DataType.TRADES, symbol="KTO", **how) -> list[Block]:
    if data_type is DataType.REFERENCE_DATA:
        symbol = None
    kept = context("asx", symbol, **({"sequence": "assign"} | how))
    return list(read(path, profiles.load("asx"), data_type, kept))


def read_with(folder, toml, text, data_type=DataType.TRADES, name="file.csv", **how) -> list[Block]:
    """Read a text with a profile of one's own."""
    profile = folder / "mine.toml"
    profile.write_text(toml)
    return list(read(write(folder, text, name), profiles.load(str(profile)), data_type, context(**how)))


def rows(blocks) -> list[dict]:
    return [row for block in blocks for row in block.rows.to_pylist()]


def rejects(blocks) -> list[Reject]:
    return [one for block in blocks for one in block.rejects]


def column(blocks, name) -> list:
    return [row[name] for row in rows(blocks)]


def trade(**cells) -> str:
    """One line under `HEADER`."""
    row = {"symbol": "KTO", "timestamp": "2014-03-10T00:00:00Z", "price": "1.5", "quantity": "10"} | cells
    return ",".join(row.values())
