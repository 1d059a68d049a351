"""A hole in the log that the operator lets pass: what is given up is counted as it is committed."""

import httpx

from tests.pipeline.homes import TRADES, counting, free_port, trades
from tests.pipeline.stream.running import HELD, flushed_all, offsets, running


async def test_hole_is_counted_as_it_is_committed(home):
    """Once, by the offsets that are gone; the page of metrics says so."""
    home.publish(trades(counting(1, 10)))
    async with running(home, flush=HELD) as app:
        await flushed_all(app)
    for first in (11, 16):
        home.publish(trades(counting(1, 5, first=first)))
    (partition,) = [p for p, end in home.ends().items() if end]
    home.log.trim(TRADES, partition, 15)
    port = free_port()
    async with running(home, flush=HELD, on_hole="continue", web={"enabled": True, "port": port}) as app:
        assert 0 == await given_up(port)
        await flushed_all(app)
        assert 5 == await given_up(port)
        home.publish(trades(counting(1, 5, first=21)))
        await flushed_all(app)
        assert 5 == await given_up(port)
    assert [(partition, n) for n in [*range(10), *range(15, 25)]] == offsets(home)


async def given_up(port):
    """Offsets of trades that /metrics says were given up."""
    async with httpx.AsyncClient() as client:
        page = await client.get(f"http://127.0.0.1:{port}/metrics")
    (line,) = [x for x in page.text.splitlines() if x.startswith('k2_hole_offsets_total{table="trades"}')]
    return float(line.rsplit(" ", 1)[1])
