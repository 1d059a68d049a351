"""Processor time and memory of a tree of processes, as the comparison of sinks counts them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from bench.sinks_usage import PAGE_BYTES, TICKS_PER_S, Process, Usage, parsed, tree_usage, usage
from tests.processes import WITHIN_S

BURN = "import time\nwhile time.process_time() < 0.3: pass"

AFTER_NAME = (
    "S 41 700 700 0 -1 4194304 900 800 0 0 {utime} {stime} {cutime} {cstime} 20 0 3 0 5000 123456789 {pages} "
    "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0"
)


def line(name: str) -> str:
    """Line of /proc/PID/stat of a process with four kinds of processor time."""
    return f"42 ({name}) " + AFTER_NAME.format(utime=100, stime=20, cutime=3, cstime=4, pages=250)


def test_a_line_of_proc_gives_parent_processor_time_and_memory() -> None:
    """User and system time, its own and that of children that ended, make up the processor time."""
    assert Process(42, 41, 127 / TICKS_PER_S, 250 * PAGE_BYTES) == parsed(line("java"))


def test_a_program_may_be_named_like_the_rest_of_the_line() -> None:
    """Spaces and parentheses in a name move no field."""
    assert parsed(line("java")) == parsed(line("a) S 1 (b) (c"))


def test_a_tree_is_a_process_with_all_that_descend_from_it() -> None:
    """Children of children count; siblings, parents and orphans do not."""
    processes = (
        Process(1, 0, 1_000.0, 1_000),
        Process(10, 1, 1.0, 10),
        Process(11, 10, 2.0, 20),
        Process(12, 11, 4.0, 40),
        Process(13, 1, 100.0, 100),
        Process(14, 99, 200.0, 200),
    )
    assert Usage(7.0, 70) == tree_usage({one.pid: one for one in processes}, 10)


def test_a_process_that_is_gone_uses_nothing() -> None:
    """A contender may end between two looks."""
    assert Usage(0.0, 0) == tree_usage({}, 10)


def test_what_an_ended_child_took_is_counted_once() -> None:
    """The kernel's own account of this process and its ended children agrees, up to a tick of each figure."""
    before, counted = usage(os.getpid()), kernel_s()
    subprocess.run([sys.executable, "-c", BURN], check=True, timeout=WITHIN_S)
    grown, expected = usage(os.getpid()).cpu_s - before.cpu_s, kernel_s() - counted
    assert before.resident_bytes > 0
    assert abs(grown - expected) <= 8 / TICKS_PER_S


def kernel_s() -> float:
    """Processor seconds of this process and its ended children."""
    kinds = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in kinds)
