"""A lake for replays with everything in it that order and resuming must get right, and a slow replay of it."""

from __future__ import annotations

import json
import random

from tests.query_lake import LOG, gap, quote, trade

OTHER_LOG = "0f5b2c1e-0000-4000-8000-000000000000"
DAY_US = 86_400_000_000


def made_rows(seed, rows=70):
    """Trades and quotes with ties, two logs, partitions, missing sequences, duplicates and two days."""
    chance = random.Random(seed)  # noqa: S311 - made-up data
    made = {"trades": [], "quotes": []}
    for offset in range(rows):
        table, make = chance.choice([("trades", trade), ("quotes", quote)])
        micros = chance.choice([0, DAY_US]) + chance.randrange(12)
        made[table].append(
            make(
                offset,
                micros=micros,
                symbol=chance.choice(["BHP", "RIO", 'Q"\\é']),
                sequence=chance.choice([None, 0, -3, 1, 2, 5]),
                log_id=chance.choice([LOG, OTHER_LOG]),
                partition=chance.randrange(2),
                sequence_flag=chance.choice(["ok", "ok", "late", "duplicate"]),
                load_id=chance.choice([None, "kept", "gone"]),
                conditions=["1"] * chance.randrange(3),
                attributes=chance.choice([None, [("venue", "A")]]),
            )
        )
    return made


def put_in_commits(put, made, commits=3):
    """Append rows in a few commits, so that there are several files of each day."""
    for table, rows in made.items():
        for part in range(commits):
            put(table, rows[part::commits])


def key(table, row):
    """The total order, as Python sorts it."""
    sequence = row["sequence"]
    place = (row["log_id"], row["topic"], row["partition"], row["offset"])
    return (row["timestamp"], table, sequence is not None, sequence or 0, *place)


def expected(made, tables=("quotes", "trades"), wanted=lambda _row: True):
    """Table and offset of the rows in order."""
    rows = [(table, row) for table in tables for row in made[table] if wanted(row)]
    return [(table, row["offset"]) for table, row in sorted(rows, key=lambda pair: key(*pair))]


def objects(body):
    """Lines of NDJSON."""
    return [json.loads(line) for line in body.splitlines()]


def rows_of(lines):
    """Table and offset of the rows among lines."""
    return [(line["record"], line["offset"]) for line in lines if "control" not in line]


def open_gap(micros, start, end, **other):
    """A gap that was seen at a time."""
    return gap("opened", start, start, end, micros=micros, **other)
