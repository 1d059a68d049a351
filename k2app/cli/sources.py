"""Where `k2-query` asks: the lake itself, or a server that has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from k2app import logs
from k2app.cli.server_answers import answer_to_result, answer_to_stream
from k2app.client import Client
from k2app.errors import OperatorError
from k2app.lake.catalog import open_catalog
from k2app.market import exchanges
from k2app.query.answers.result import Result
from k2app.query.answers.result_text import to_json
from k2app.query.answers.stream import Stream
from k2app.query.engine import QueryEngine
from k2app.query.query import Query
from k2app.query.requests import Request
from k2app.settings import Settings, read_settings

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A query with its parameters, as they are and as they were written.

    Parameters
    ----------
    query, request
        What is asked.
    texts
        Names and texts that the request was read from.
    """

    query: Query
    request: Request
    texts: tuple[tuple[str, str], ...]


class Source(Protocol):
    """What answers."""

    def json(self, asked: Asked) -> bytes:
        """A page as JSON."""

    def page(self, asked: Asked) -> Result:
        """A page."""

    def stream(self, asked: Asked, write: Callable[[Stream], T]) -> T:
        """All rows, written while they are read."""


@contextmanager
def opened_source(url: str | None, key: str | None) -> Iterator[Source]:
    """The server at a URL, or without one the lake; closed in the end.

    Raises
    ------
    OperatorError
        There is no lake, or the URL is not one.
    """
    if not url:
        with opened_engine(read_settings()) as engine:
            yield LakeSource(engine)
        return
    with opened_client(url, key) as client:
        yield ServerSource(client)


@contextmanager
def opened_client(url: str, key: str | None) -> Iterator[Client]:
    """A client of the server at a URL, closed in the end.

    Raises
    ------
    OperatorError
        The URL is not one.
    """
    logs.configure(read_settings().logs)
    # Stretches of an answer would end batches, and so row groups, where the lake itself does not.
    with Client(url, key or None, stretch_rows=None) as client:
        yield client


@dataclass(frozen=True)
class LakeSource:
    """The lake itself."""

    engine: QueryEngine

    def json(self, asked: Asked) -> bytes:
        """See `Source`."""
        return to_json(self.page(asked), numbers=asked.request.numbers)

    def page(self, asked: Asked) -> Result:
        """See `Source`."""
        return self.engine.answer(asked.query, asked.request)

    def stream(self, asked: Asked, write: Callable[[Stream], T]) -> T:
        """See `Source`."""
        return stream(self.engine, asked.query, asked.request, write)


@dataclass(frozen=True)
class ServerSource:
    """A server.

    Tables and files are written here, from Arrow: a connection that breaks is taken up again between two batches, and
    what is printed is what the lake's own would print.
    """

    client: Client

    def json(self, asked: Asked) -> bytes:
        """See `Source`."""
        return self.client.json(asked.query.name, **by_name(asked.texts))

    def page(self, asked: Asked) -> Result:
        """See `Source`."""
        limit = getattr(asked.request, "limit", None)
        with self.client.query(asked.query.name, **by_name(asked.texts) | {"limit": limit}) as answer:
            return answer_to_result(answer)

    def stream(self, asked: Asked, write: Callable[[Stream], T]) -> T:
        """See `Source`."""
        with self.client.query(asked.query.name, **by_name(asked.texts)) as answer:
            return write(answer_to_stream(answer))


def by_name(texts: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Texts of each parameter."""
    found: dict[str, list[str]] = {}
    for name, text in texts:
        found.setdefault(name, []).append(text)
    return found


@contextmanager
def opened_engine(settings: Settings) -> Iterator[QueryEngine]:
    """The lake's query engine, closed in the end.

    Raises
    ------
    OperatorError
        There is no lake.
    """
    logs.configure(settings.logs)
    check_there(settings)
    with closing(open_catalog(settings)) as catalog:
        engine = QueryEngine(settings, catalog, exchanges.load(settings.exchanges_file))
        with closing(engine):
            yield engine


def check_there(settings: Settings) -> None:
    """Check that there is a lake: opening a SQLite catalog would make an empty one.

    Raises
    ------
    OperatorError
        There is none.
    """
    path = settings.catalog_uri.removeprefix("sqlite:///")
    if settings.catalog_uri.startswith("sqlite:///") and not Path(path).exists():
        raise OperatorError(
            f"there is no lake at {settings.home} yet: run `k2 init`, and load data with `k2 load`;"
            " or set K2_HOME to where it is"
        )


def stream(engine: QueryEngine, query: Query, request: Request, write: Callable[[Stream], T]) -> T:
    """Answer a query as a stream, and wait until it is written; Ctrl-C stops it."""
    with engine.interruptible():
        return engine.submit_stream(query, request, write).result()
