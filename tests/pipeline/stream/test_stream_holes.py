"""A hole in the log that the operator lets pass: what is given up is counted as it is committed."""

import httpx

from tests.pipeline.homes import TRADES, counting, free_port, trades
from tests.pipeline.stream.running import HELD, flushed_all, offsets, running

GIVEN_UP = 'k2_hole_offsets_total{table="trades"}'

FENCED = 'k2_stand_downs_total{outcome="fenced",table="trades"}'


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
        assert 0 == await shown(port, GIVEN_UP)
        await flushed_all(app)
        assert 5 == await shown(port, GIVEN_UP)
        home.publish(trades(counting(1, 5, first=21)))
        await flushed_all(app)
        assert 5 == await shown(port, GIVEN_UP)
    assert [(partition, n) for n in [*range(10), *range(15, 25)]] == offsets(home)


async def test_hole_under_the_reader_is_found(home):
    """What is trimmed before it is fetched is missed by the reader itself: it starts again behind it."""
    home.publish(trades(counting(1, 10)))
    (partition,) = [p for p, end in home.ends().items() if end]
    port = free_port()
    async with running(home, flush=HELD, on_hole="continue", web={"enabled": True, "port": port}) as app:
        await flushed_all(app)
        positions = app.consumer.positions
        held, positions.held = positions.held, lambda: True
        for first in (11, 16):
            home.publish(trades(counting(1, 5, first=first)))
        home.log.trim(TRADES, partition, 15)
        positions.held = held
        await flushed_all(app)
        assert (1, 5) == (await shown(port, FENCED), await shown(port, GIVEN_UP))
    assert [(partition, n) for n in [*range(10), *range(15, 20)]] == offsets(home)


async def shown(port, series):
    """Value of a series on the page of metrics."""
    async with httpx.AsyncClient() as client:
        page = await client.get(f"http://127.0.0.1:{port}/metrics")
    (line,) = [x for x in page.text.splitlines() if x.startswith(f"{series} ")]
    return float(line.rsplit(" ", 1)[1])
