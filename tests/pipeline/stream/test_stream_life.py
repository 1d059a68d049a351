import asyncio

from tests.pipeline.homes import counting, trades
from tests.pipeline.stream.running import HELD, all_offsets, flushed_all, offsets, read_all, running


async def test_resubscribed(home):
    """x."""
    home.publish(trades(counting(3, 20)))
    async with running(home, flush=HELD) as app:
        await read_all(app)
        await flushed_all(app)
    assert all_offsets(home) == offsets(home)
