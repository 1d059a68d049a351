from dataclasses import replace

import pyarrow as pa
import pytest

from k2app.ingest.states import Watermark, fold, judge
from k2app.market.sequence_states import States
from tests.unit.ingest.ingest_messages import source

STATES = States.from_primitives({"20458|BHP": [1, 9, 5_000, 0, [0] * 10, [[3, 4]], []]})
MARK = Watermark("log", "table", 10, STATES.digest())


@pytest.mark.parametrize(
    ("mark", "floor", "expected"),
    [
        (MARK, 10, "current"),
        (MARK, 11, "behind"),
        (MARK, 9, "wrong"),
        (None, 10, "wrong"),
        (replace(MARK, log_id="other"), 10, "wrong"),
        (replace(MARK, table_uuid="other"), 10, "wrong"),
        (replace(MARK, digest="1-0"), 10, "wrong"),
        (replace(MARK, digest="1-0"), 11, "wrong"),
    ],
    ids=["at the floor", "below", "above", "none", "other log", "other table", "torn", "torn and below"],
)
def test_stored_states_are_worth_what_their_watermark_says(mark, floor, expected):
    """States are used as they are only at the floor, folded forward only if whole and of this log and table."""
    assert expected == judge(STATES, mark, "log", "table", floor)


def test_folding_rows_of_the_lake_gives_the_states_of_checking_them():
    """Rows without a number change nothing; how they are cut into tables does not matter."""
    rows = pa.table(
        {
            "symbol": ["A", "B", "A", "A", "A"],
            "trading_date": pa.array([20458] * 5, pa.int32()).cast(pa.date32()),
            "sequence": pa.array([1, 1, None, 5, 3], pa.int64()),
            "timestamp": pa.array([10, 11, 12, 13, 14]).cast(pa.timestamp("us", "UTC")),
        }
    )
    whole = fold(States.empty(), [rows], source())
    parts = fold(States.empty(), [rows.slice(0, 2), rows.slice(2, 2), rows.slice(4)], source())
    assert whole.digest() == parts.digest()
    state = whole.get("A", 20458)
    assert (1, 5, ((2, 2), (4, 4))) == (state.low, state.high, state.gaps)
    assert STATES.digest() == fold(STATES, [], source()).digest()
