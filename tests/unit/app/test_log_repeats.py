"""Libraries that say the same again and again."""

import logging

import pytest

from k2app import log_repeats
from k2app.log_repeats import AGAIN_AFTER_S, AGAIN_S, AT_ONCE, LINES, Repeats


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(log_repeats, "time", found)
    return found


def written(repeats: Repeats, name: str, *lines: str) -> list[str]:
    """Lines that come through."""
    records = [logging.LogRecord(name, logging.ERROR, "", 0, "no broker %s", (line,), None) for line in lines]
    return [record.getMessage() for record in records if repeats.filter(record)]


def test_a_line_comes_once_in_a_while(clock):
    """The same line is left out for a time, then told with the number of those left out; others come through."""
    repeats = Repeats()
    assert ["no broker 1", "no broker 2"] == written(repeats, "aiokafka.conn", "1", "1", "2", "1", "2")
    clock.now = AGAIN_AFTER_S
    assert ["no broker 1 (and 2 times since)"] == written(repeats, "aiokafka.conn", "1", "1")


def ours(repeats: Repeats, level: int, event: str, times: int, **values: str) -> list[dict]:
    """Lines of ours that come through."""
    lines = [{"event": event, "n": n, **values} for n in range(times)]
    records = [logging.LogRecord("k2app.x", level, "", 0, line, (), None) for line in lines]
    return [record.msg for record in records if repeats.filter(record)]


def test_our_stories_all_come():
    """A line per flush is a line per flush."""
    assert 100 == len(ours(Repeats(), logging.INFO, "flushed", 100))


def test_storm_of_our_warnings_is_a_few_lines(clock):
    """The first as they come, then one now and then that says how many were left out; each table has its own."""
    repeats = Repeats()
    assert AT_ONCE == len(ours(repeats, logging.WARNING, "hole", 500, table="trades"))
    assert 1 == len(ours(repeats, logging.WARNING, "hole", 1, table="quotes"))
    assert 1 == len(ours(repeats, logging.ERROR, "other", 1, table="trades"))
    clock.now = AGAIN_S
    (line,) = ours(repeats, logging.WARNING, "hole", 10, table="trades")
    assert 500 - AT_ONCE == line["times_since"]
    clock.now = 1_000.0
    assert AT_ONCE == len(ours(repeats, logging.WARNING, "hole", 500, table="trades"))


def test_memory_is_bounded():
    """Lines that are all different are all written, and not kept for ever."""
    repeats = Repeats()
    assert 3 * LINES == len(written(repeats, "aiokafka", *map(str, range(3 * LINES))))
    assert len(repeats._seen) <= LINES


def test_attempts_that_are_numbered_are_one_line(clock):
    """Lines of structlog, which differ by the number of the attempt: the next one that comes says how many did not."""
    repeats = Repeats()

    def comes(number: int) -> dict | None:
        line = {"event": "retry_scheduled", "retry_num": number}
        record = logging.LogRecord("stamina", logging.WARNING, "", 0, line, (), None)
        return record.msg if repeats.filter(record) else None

    assert {"event": "retry_scheduled", "retry_num": 1} == comes(1)
    assert [None, None] == [comes(2), comes(3)]
    clock.now = AGAIN_AFTER_S
    assert {"event": "retry_scheduled", "retry_num": 4, "times_since": 2} == comes(4)


def theirs(repeats: Repeats, text: str, *arguments: tuple, level: int = logging.WARNING) -> list[str]:
    """Lines of Faust's that come through."""
    records = [logging.LogRecord("faust.tables", level, "", 0, text, given, None) for given in arguments]
    return [record.getMessage() for record in records if repeats.filter(record)]


def test_storm_of_a_librarys_warnings_is_a_few_lines(clock):
    """Of any library, and whatever differs in the arguments; another text, or less than a warning, comes through."""
    repeats = Repeats()
    many = [(f"partition {n}",) for n in range(500)]
    assert AT_ONCE == len(theirs(repeats, "cannot recover %s", *many))
    assert ["lost the lease"] == theirs(repeats, "lost the lease", ())
    assert 500 == len(theirs(repeats, "looks at %s", *many, level=logging.INFO))
    clock.now = AGAIN_S
    said = theirs(repeats, "cannot recover %s", *many)
    assert [f"cannot recover partition 0 (and {500 - AT_ONCE} times since)"] == said


def test_librarys_lines_that_are_all_argument_are_told_apart():
    """Such as Python's warnings: what they say is all that there is of them."""
    assert 500 == len(theirs(Repeats(), "%s", *[(f"{n} is deprecated",) for n in range(500)]))


@pytest.mark.usefixtures("clock")
def test_tasks_that_fail_the_same_way_are_one_kind():
    """Asyncio's lines below the first have the address of each task."""
    repeats = Repeats()
    said = [f"Task exception was never retrieved\nfuture: <Task at {n:#x}>" for n in range(500)]
    assert AT_ONCE == sum(len(theirs(repeats, text, ())) for text in said)
