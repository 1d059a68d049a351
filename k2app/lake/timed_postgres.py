"""A time limit on PostgreSQL's answers: where a network takes everything and says nothing, libpq waits for ever.

`statement_timeout` is the server's, who may not hear of us, and a dead peer's kernel may go on answering keepalives.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine, event

T = TypeVar("T")


class TimedConnection(psycopg.Connection[Any]):
    """A connection that closes itself once an answer is overdue: the pool makes another."""

    answer_within_s: float = 0.0
    """Seconds; 0: no limit."""

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **options: Any) -> T:
        """Wait for one exchange with the server.

        Raises
        ------
        OperationalError
            Nothing was heard for too long; the connection is closed.
        """
        return super().wait(self._limited(gen), *arguments, **options)

    def _limited(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Hand everything on; psycopg sends 0 (nothing is ready) ten times a second while it waits."""
        ready, heard_s = None, time.monotonic()
        while True:
            try:
                wanted = gen.send(ready)
            except StopIteration as end:
                result: T = end.value
                return result
            ready = yield wanted
            now_s = time.monotonic()
            heard_s = now_s if ready else heard_s
            if self.answer_within_s and now_s - heard_s > self.answer_within_s:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"PostgreSQL has not answered for {self.answer_within_s:g} s")


def limit_answers(engine: Engine, within_s: float) -> None:
    """Let every connection that an engine of psycopg's makes from now on give up in time."""

    def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> TimedConnection:
        connection = TimedConnection.connect(*arguments, **options)
        connection.answer_within_s = within_s
        return connection

    event.listen(engine, "do_connect", connect)
    # What is open already was made without.
    engine.dispose()
