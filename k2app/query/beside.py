"""Work on a thread beside the caller's; Arrow, numpy and hashes let go of the interpreter while they work."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

Bytes = bytes | memoryview
"""Bytes, or a look at some of them where they lie."""


ALONE_BYTES = 1_048_576
"""Bytes that are hashed where they are: half a millisecond, not worth a thread that lives as long as a slow stream."""


def thread_beside() -> ThreadPoolExecutor:
    """One thread, begun when it first has work; it ends when nobody holds this any more.

    It is kept, rather than begun for each piece of work: what Arrow allocates on a thread is reused on the same.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="beside")


def made_ahead(makes: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What each makes, in order, the next already under way."""
    left = iter(makes)
    first = next(left, None)
    if first is None:
        return
    thread = thread_beside()
    ahead: Future[T] | None = thread.submit(first)
    while ahead is not None:
        found = ahead.result()
        following = next(left, None)
        ahead = None if following is None else thread.submit(following)
        yield found
        del found


class HashBeside:
    """SHA-256 of blocks of bytes, in order, each hashed while the next one is made."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._thread = thread_beside()
        self._last: Future[None] | None = None

    def update(self, blocks: Sequence[Bytes]) -> None:
        """Hash these too; they must not change."""
        self._wait()
        if sum(map(len, blocks)) <= ALONE_BYTES:
            self._hash(blocks)
        else:
            self._last = self._thread.submit(self._hash, blocks)

    def hexdigest(self) -> str:
        """Of everything until now."""
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None

    def _hash(self, blocks: Sequence[Bytes]) -> None:
        for block in blocks:
            self._digest.update(block)
