"""What a worker says of itself while something is wrong with it."""

import http.client
import signal
import threading

from tests.pipeline.health import live
from tests.pipeline.homes import counting, free_port, stopped, trades, wait_until
from tests.pipeline.storm.disks import Printed
from tests.pipeline.stream.running import Gate, running, trades_of, until, writer_of
from tests.storm.storm import committed

STILL_S = 2.0
"""Seconds for which a worker stands still: several times what the test lets its event loop be late."""


def test_worker_that_stood_still_is_not_live_until_it_turns_again(home):
    """Its event loop is measured: that it answers at last is not enough."""
    _ = home.log
    port = free_port()
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port), "K2_HEALTH_LOOP_DELAY_S": "0.5"}
    with stopped(home.start(**served)) as worker:
        _ = Printed(worker)
        wait_until(lambda: live(port)[0] == 200, "a live worker")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.connect()
        worker.send_signal(signal.SIGSTOP)
        connection.request("GET", "/health/live")
        threading.Event().wait(STILL_S)
        worker.send_signal(signal.SIGCONT)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert 503 == answer.status
        assert "K2_HEALTH_LOOP_DELAY_S is 0.5" in text
        wait_until(lambda: live(port)[0] == 200, "a worker that is live again")


async def test_commits_that_do_not_come_are_told(home):
    """While records wait, and only then: an idle worker may be as old as it likes."""
    limits = {"flush": {"interval_s": 0.05}, "health": {"commit_age_s": 0.5}}
    async with running(home, **limits) as app:
        gate = Gate(writer_of(app), "commit_main")
        home.publish(trades(counting(2, 10)))
        await until(gate.reached.is_set, "a commit that is held back")
        await until(lambda: trades_of(app).commit_age_s > 1, "a commit that is overdue")
        told = (await app.readiness()).parts["commits"]
        assert told.startswith("trades: nothing was committed for ")
        gate.open()
        await until(lambda: trades_of(app).commit_age_s == 0, "everything committed")
        assert (await app.readiness()).parts["commits"] is None
    assert 20 == committed(home)
