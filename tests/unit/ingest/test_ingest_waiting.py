"""What is said of an outage: its beginning, that it lasts, its end; and not more."""

import structlog

from k2app.ingest.waiting import AGAIN_AFTER_S, Waiting


def told(looks: list[tuple[str | None, float]]) -> list[dict]:
    """Lines of a log, of one look after the other."""
    waiting = Waiting(table="trades")
    with structlog.testing.capture_logs() as lines:
        for trouble, now_s in looks:
            waiting.look(trouble, now_s)
    return lines


def test_outage_is_a_line_at_each_end_and_some_between():
    """Looked at ten times a second for a minute and a bit: two further lines, whatever the reason says meanwhile."""
    times = [n / 10 for n in range(10, int(10 * (2 * AGAIN_AFTER_S + 15)))]
    lines = told([(None, 0.5), *((f"attempt {n}", at) for n, at in enumerate(times)), (None, 100.0)])
    assert ["waiting", "waiting", "waiting", "goes_on"] == [line["event"] for line in lines]
    assert [0.0, AGAIN_AFTER_S, 2 * AGAIN_AFTER_S, 99.0] == [line["waited_s"] for line in lines]


def test_second_outage_is_told_like_the_first():
    """However soon after."""
    lines = told([("away", 1.0), (None, 2.0), ("away", 3.0), (None, 4.0)])
    assert ["waiting", "goes_on", "waiting", "goes_on"] == [line["event"] for line in lines]


def test_nothing_is_said_of_nothing():
    """A worker that never waits."""
    assert [] == told([(None, 1.0), (None, 1_000.0)])
