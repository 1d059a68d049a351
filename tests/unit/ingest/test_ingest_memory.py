"""How much memory there is, and when it is short."""

from pathlib import Path

import pytest

from k2app.ingest import memory
from k2app.ingest.memory import RELIEF, MemoryGuard, granted_bytes, used_bytes

MACHINE = granted_bytes(Path("/nowhere"))


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups of the test: writes limits, returns the file that says which are ours."""

    def made(membership: str, **limits: str) -> Path:
        for path, text in limits.items():
            file = tmp_path / path.replace("__", "/").replace("memory_max", "memory.max").replace(
                "in_bytes", "memory.limit_in_bytes"
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        ours = tmp_path / "cgroup"
        ours.write_text(membership)
        return ours

    places = (("0", tmp_path, "memory.max"), ("memory", tmp_path / "v1", "memory.limit_in_bytes"))
    monkeypatch.setattr(memory, "CGROUP_LIMITS", places)
    return made


def test_limit_of_the_container_counts_and_of_those_around_it(groups):
    """The least of all; "max" is none."""
    assert MACHINE == granted_bytes(groups("0::/a/b\n", memory_max="max", a__b__memory_max="max"))
    assert 1_000 == granted_bytes(groups("0::/a/b\n", a__memory_max="1000", a__b__memory_max="2000"))
    assert 500 == granted_bytes(groups("0::/a/b\n", memory_max="500", a__b__memory_max="2000"))


def test_limit_of_version_1_counts(groups):
    """Docker on older systems."""
    ours = groups("8:pids:/x\n4:cpu,memory:/docker/abc\n", v1__docker__abc__in_bytes="4096")
    assert 4_096 == granted_bytes(ours)


def test_limit_beyond_the_machine_is_none(groups):
    """Version 1 writes a number near 2**63 where there is no limit."""
    ours = groups("4:memory:/docker/abc\n", v1__docker__abc__in_bytes=str(2**63 - 4096))
    assert MACHINE == granted_bytes(ours)


def test_used_memory_grows_with_what_is_taken():
    """By about as much as was written to."""
    before = used_bytes()
    taken = bytearray(b"x" * 50_000_000)
    assert used_bytes() - before > 40_000_000
    del taken


def test_memory_is_short_until_it_is_well_below_the_limit():
    """Reading must not stop and go with every batch."""
    amounts = iter([99, 100, 95, int(100 * RELIEF), 89, 95, 101])
    guard, short = MemoryGuard(100, lambda: next(amounts)), []
    for _ in range(7):
        guard.look()
        short.append(guard.short)
    assert [False, True, True, True, False, False, True] == short


def test_memory_that_nobody_knows_is_never_short():
    """As on systems without /proc."""
    guard = MemoryGuard(1, lambda: None)
    guard.look()
    assert not guard.short
    assert guard.trouble is None
