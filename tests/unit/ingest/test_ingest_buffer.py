import numpy as np

from k2app.ingest.buffer import Buffer
from k2app.ingest.rows import Processed, empty_rows, process
from k2app.lake.tables import Name
from k2app.market.sequence_states import States
from tests.pipeline.homes import counting, trades
from tests.unit.ingest.ingest_messages import WRITERS, batch_of, messages, source


async def acknowledge():
    """Nothing to tell."""


def nothing():
    empty = (empty_rows(n) for n in (Name.TRADES, Name.DEAD_LETTERS, Name.GAPS))
    return Processed(*empty, States.empty(), np.zeros(0, np.int64))


def test_empty_buffer_has_no_age_and_empty_tables():
    """Nothing buffered: never due, and its tables have their columns all the same."""
    buffer = Buffer(Name.TRADES)
    assert 0.0 == buffer.age_s(1e9)
    for name, table in zip((Name.TRADES, Name.DEAD_LETTERS, Name.GAPS), buffer.tables(), strict=True):
        assert empty_rows(name).schema == table.schema
        assert 0 == table.num_rows


def test_age_counts_from_the_oldest_record():
    """What comes later does not put the flush off, and time 0 is a time."""
    buffer = Buffer(Name.TRADES)
    buffer.add(nothing(), 3, acknowledge, 0.0)
    buffer.add(nothing(), 4, acknowledge, 9.0)
    assert 10.0 == buffer.age_s(10.0)
    assert 7 == buffer.records
    assert 2 == len(buffer.acknowledge)


def test_tables_hold_every_batch_in_order():
    """Rows, dead letters and gap events of all batches, in the order in which they came."""
    buffer, states = Buffer(Name.TRADES), States.empty()
    values = messages(trades([n for n in counting(1, 6) if n[1] != 4]))
    for first in (0, 2, 4):
        batch = batch_of([*values[first : first + 2], b"broken"], first=10 * first)
        done = process(batch, source(), states, WRITERS, {})
        states = done.states
        buffer.add(done, len(batch), acknowledge, 0.0)
    rows, dead_letters, gaps = buffer.tables()
    assert [0, 1, 20, 21, 40] == rows["offset"].to_pylist()
    assert [2, 22, 41] == dead_letters["offset"].to_pylist()
    assert [21] == gaps["offset"].to_pylist()
    assert 8 == buffer.records
