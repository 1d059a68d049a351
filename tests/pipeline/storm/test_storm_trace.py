"""K2_FAULT_TRACE: which points a process passed before it was killed."""

import signal

from k2app.faults import POINTS, TRACE_VARIABLE, VARIABLE, from_environment
from tests.pipeline.homes import WORKER_S, counting, stopped, trades


def test_points_passed_are_written_down_up_to_the_kill(home, tmp_path):
    """One line per point, with the process; the last is where it was killed."""
    trace = tmp_path / "trace"
    trace.write_text("1 flush-acknowledged\n")
    home.publish(trades(counting(1, 5)))
    with stopped(home.start("--drain", K2_FAULT="main-committed", K2_FAULT_TRACE=str(trace))) as process:
        process.communicate(timeout=WORKER_S)
    assert -signal.SIGKILL == process.returncode
    passed = POINTS[: POINTS.index("main-committed") + 1]
    assert ["1 flush-acknowledged", *(f"{process.pid} {point}" for point in passed)] == (
        trace.read_text().splitlines()
    )


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    """Off by default."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(TRACE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    for point in POINTS:
        from_environment().point(point)
    assert [] == list(tmp_path.iterdir())
