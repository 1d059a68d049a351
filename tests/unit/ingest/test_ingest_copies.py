"""Copies told by content, against a loop over rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.ingest.copies import settle
from k2app.lake.content import content_columns
from k2app.lake.tables import SPECS, Name
from k2app.market.sequence_flags import FLAGS

START = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA = pa.schema(
    [f for f in SPECS[Name.TRADES].arrow_schema if f.name not in ("committed_at", "commit_id")]
)

CONTENT = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B"]),
        "sequence": st.integers(1, 2),
        "second": st.integers(0, 1),
        "price": st.integers(1, 2),
        "trade_id": st.sampled_from([None, "t"]),
        "conditions": st.sampled_from([[], ["1"]]),
        "attributes": st.sampled_from([None, [], [("k", "v")]]),
    }
)
FLAG = st.sampled_from([f for f in FLAGS if f not in ("conflict", "unsequenced")])
ROWS = st.lists(st.tuples(CONTENT, FLAG, st.integers(0, 2)), max_size=12)


def row(content, flag, epoch, offset):
    return {
        "symbol": content["symbol"], "exchange": "asx", "asset_class": "equities",
        "timestamp": START + timedelta(seconds=content["second"]),
        "price": Decimal(content["price"]), "quantity": Decimal(1), "currency": "AUD", "side": "BUY",
        "trade_id": content["trade_id"], "conditions": content["conditions"], "sequence": content["sequence"],
        "ingested_at": START + timedelta(days=offset), "load_id": f"load {offset}", "source_line": offset,
        "attributes": content["attributes"], "sequence_flag": flag, "epoch": epoch, "trading_date": START.date(),
        "log_id": "log", "topic": "t", "partition": 0, "offset": offset,
    }  # fmt: skip


def expected(lake, rows):
    """The table of the module's docstring as a loop."""
    visible, out = [content for content, flag, _ in lake if flag != "duplicate"], []
    for content, flag, epoch in rows:
        asked = flag in ("duplicate", "regressed", "uncertain") or epoch > (1 if flag == "reset" else 0)
        copied = asked and content in visible
        settled = "duplicate" if copied else "conflict" if flag == "duplicate" else flag
        if settled != "duplicate":
            visible.append(content)
        out.append(settled)
    return out


@settings(max_examples=60, deadline=None)
@given(lake=ROWS, rows=ROWS)
def test_flags_as_a_loop_over_rows_would_give_them(lake, rows):
    """Every candidate gets the flag that the table says, whatever else is in the flush and the lake."""
    stored = pa.Table.from_pylist([row(*r, offset=i) for i, r in enumerate(lake)], schema=SCHEMA)
    fresh = pa.Table.from_pylist([row(*r, offset=100 + i) for i, r in enumerate(rows)], schema=SCHEMA)

    def earlier(topic, symbols, first_us, last_us):
        assert "t" == topic
        kept = [
            r
            for r in stored.to_pylist()
            if r["symbol"] in symbols
            and first_us <= r["timestamp"].timestamp() * 1_000_000 <= last_us
            and r["sequence_flag"] != "duplicate"
        ]
        return pa.Table.from_pylist(kept, schema=SCHEMA).select(content_columns(Name.TRADES))

    settled = settle(Name.TRADES, fresh, earlier)
    assert expected(lake, rows) == settled.column("sequence_flag").to_pylist()
    assert fresh.drop_columns("sequence_flag").equals(settled.drop_columns("sequence_flag"))


def test_content_is_every_field_of_the_message_but_its_reading():
    """When and from which file a record was read is no part of what it says."""
    assert {
        "symbol", "exchange", "asset_class", "timestamp", "price", "quantity", "currency", "side", "trade_id",
        "conditions", "sequence", "attributes",
    } == set(content_columns(Name.TRADES))  # fmt: skip
