"""No space on the disk, at every step of a flush and in the middle of a load; and then there is some again."""

import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest

from k2app.faults import POINTS
from tests.pipeline.homes import TRADES, WORKER_S, Home, counting, stopped, trades, wait_until
from tests.pipeline.load.commands import LOAD, asx_trades
from tests.pipeline.storm.disks import FULL, Printed, fill, free, scarce_worker
from tests.pipeline.storm.scarce_worker import FILLED, LOGGED
from tests.storm.comparison import differences
from tests.storm.storm import committed, undisturbed
from tests.web.conftest import free_port

SOON = {"K2_FLUSH_INTERVAL_S": "0.2"}

TOLD = ("standing_down", "restore_failed", "retry_scheduled", "offsets_not_committed")
"""Events of the lines that say what the worker waits for."""

STEPS = [*POINTS[: POINTS.index("main-committed") + 1], LOGGED, *POINTS[POINTS.index("states-written") :]]


def publish_part(home: Home, part: int) -> None:
    first = 1 + 30 * part
    numbers = counting(symbols=4, each=30, first=first)
    home.publish(trades([n for n in numbers if n not in {("S1", first + 5), ("S2", first + 6)}]))
    home.publish_raw([(b"S1", b"not avro")], partition=part % 2)
    home.publish(trades([("S2", first + 6), ("S0", first)]))


def test_worker_rides_out_a_full_disk_at_every_step(home, tmp_path):
    """It says what it waits for, goes on by itself when there is space again, and nothing is lost or there twice."""
    publish_part(home, 0)
    with scarce_worker(home, STEPS, **SOON) as (worker, printed):
        for part, point in enumerate(STEPS, start=1):
            wait_until(lambda at=f"{FILLED} {point}\n": at in printed.since(0), f"a full disk at {point}")
            seen = len(printed)
            publish_part(home, part)
            wait_until(
                lambda seen=seen: any(event in printed.since(seen) for event in TOLD),
                f"a line that says what is wrong at {point}",
            )
            free(worker.pid)
        wait_until(lambda: committed(home) == sum(home.ends().values()), "everything in the lake")
        wait_until(lambda: told_log(home) == home.ends(), "committed offsets at the end")
        assert worker.poll() is None
        assert "Traceback" not in printed.since(0)
    home.drain()
    other = undisturbed(home, tmp_path / "undisturbed")
    other.drain()
    assert [] == differences(home, other)


def told_log(home: Home) -> dict[int, int]:
    committed_offsets = home.log.committed("k2-iceberg-writer").items()
    return {p: offset for (topic, p), offset in committed_offsets if topic == TRADES}


def readiness(port: int) -> tuple[int, str]:
    """Status and reasons of /health/ready; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, " ".join(json.load(error)["reasons"])
    except OSError:
        return 0, ""


def test_readiness_says_that_the_disk_is_full(home):
    """A probe sees why nothing is committed, and sees that it is over."""
    port = free_port()
    publish_part(home, 0)
    web = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port)}
    with stopped(home.start(**SOON, **web)) as worker:
        _ = Printed(worker)
        wait_until(lambda: committed(home) == sum(home.ends().values()), "a first commit")
        wait_until(lambda: readiness(port) == (200, ""), "a ready worker")
        fill(worker.pid)
        publish_part(home, 1)
        wait_until(lambda: readiness(port)[0] == 503, "a worker that is not ready")
        reasons = readiness(port)[1]
        assert reasons.startswith(("trades: files of market_data.", "trades: the states of ")), reasons
        assert "File too large" in reasons
        free(worker.pid)
        wait_until(lambda: readiness(port) == (200, ""), "a worker that is ready again")
        assert committed(home) == sum(home.ends().values())


# --- the loader

ASX = ("--profile", "asx", "--type", "trades", "--symbol", "KTO")

ROWS = 20_000


@pytest.fixture
def file(tmp_path):
    """A file of good rows, with a malformed one among every few hundred."""
    lines = asx_trades(ROWS).splitlines(keepends=True)
    for at in range(300, ROWS, 400):
        lines[at] = lines[at].replace(",1,", ",n/a,", 1)
    found = tmp_path / "9001.csv"
    found.write_text("".join(lines))
    return found


def loader(home: Home, file, *, full: bool = False, block_bytes: int = 4_096) -> subprocess.Popen:
    return subprocess.Popen(
        [*(FULL if full else ()), *LOAD, str(file), *ASX],
        env=os.environ | home.environment | {"K2_LOAD_BLOCK_BYTES": str(block_bytes)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sent(home: Home) -> int:
    return sum(home.ends().values())


def test_load_rides_out_a_full_disk(home, file):
    """Blocks wait for space and are sent once; rejects are written down all the same."""
    _ = home.log
    with stopped(loader(home, file)) as load:
        wait_until(lambda: sent(home) > 500, "some rows on the log")
        fill(load.pid)
        stalled = stall(home)
        assert load.poll() is None
        assert stalled < ROWS - 50
        free(load.pid)
        printed, _ = load.communicate(timeout=WORKER_S)
    assert 0 == load.returncode, printed
    assert ROWS - 50 == sent(home)
    (rejects,) = (home.path / "rejects").iterdir()
    assert 50 == len(rejects.read_text().splitlines())
    assert f"{ROWS - 50:,} rows, 50 rejected" in printed


def stall(home: Home) -> int:
    """Wait until nothing more arrives on the log for a while; returns what is there."""
    seen = [sent(home)]

    def still() -> bool:
        seen.append(sent(home))
        return len(seen) > 30 and len(set(seen[-30:])) == 1

    wait_until(still, "a load that is stalled")
    return seen[-1]


def test_rejects_that_cannot_be_written_end_a_load(home, tmp_path):
    """In one sentence; loaded again, every row is visible once and every reject is written down."""
    file = tmp_path / "9002.csv"
    lines = asx_trades(ROWS).splitlines(keepends=True)
    # Rejects that are larger than all of the log: only they meet the limit.
    lines[1::2] = [line.replace(",1,", f",{'n' * 2_000},", 1) for line in lines[1::2]]
    file.write_text("".join(lines))
    _ = home.log
    with stopped(loader(home, file, block_bytes=2**18)) as load:
        fill(load.pid, ROWS * 500)
        printed, _ = load.communicate(timeout=WORKER_S)
    assert 2 == load.returncode, printed
    *progress, sentence = printed.splitlines()
    # A load that takes long says every few seconds how far it is.
    assert all(line.startswith((f"{file.name}: counting ", f"{file.name}: sending ")) for line in progress)
    assert sentence.startswith(f"k2: cannot write the rejects {home.path / 'rejects'}")
    before = sent(home)
    assert before < ROWS // 2
    with stopped(loader(home, file, block_bytes=2**18)) as load:
        printed, _ = load.communicate(timeout=WORKER_S)
    assert 0 == load.returncode, printed
    assert before + ROWS // 2 == sent(home)
    (rejects,) = (home.path / "rejects").glob("*.jsonl")
    assert ROWS // 2 == len(rejects.read_text().splitlines())


def test_load_on_a_full_disk_is_refused_in_one_sentence(home, file):
    """Nothing was sent; with space again, the same command loads it."""
    _ = home.log
    with stopped(loader(home, file, full=True)) as load:
        printed, _ = load.communicate(timeout=WORKER_S)
    assert 2 == load.returncode, printed
    assert printed.startswith("k2: ")
    assert "File too large" in printed or "disk I/O error" in printed
    assert 1 == len(printed.splitlines())
    assert 0 == sent(home)
    with stopped(loader(home, file)) as load:
        printed, _ = load.communicate(timeout=WORKER_S)
    assert 0 == load.returncode, printed
    assert ROWS - 50 == sent(home)
