"""The client for asyncio: the same calls, whose answers are awaited."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

from k2app.client.async_opened import AsyncAnswer, AsyncReplay
from k2app.client.client import RETRIES, STRETCH_ROWS, TIMEOUT_S, Client
from k2app.client.methods import Methods

CONCURRENT = 16
"""Steps at once: as many as a server takes queries of one caller (K2_WEB_CONCURRENT)."""


class AsyncClient(Methods[AsyncAnswer, AsyncReplay]):
    """Asks a server from coroutines of one event loop. Close it, or use `async with`.

    It is `Client` on threads of its own: retries, stretches and checks are the same. A call asks nothing yet; its
    errors are raised by the first `await` of what it returns.

    Parameters
    ----------
    url, key, timeout_s, retries, compress, stretch_rows
        As of `Client`.
    concurrent
        Steps that may wait for the server at once; further ones wait for them. A paced replay takes one of them while
        it waits for its next record.

    Raises
    ------
    OperatorError
        The URL is not one.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        compress: bool = False,
        stretch_rows: int | None = STRETCH_ROWS,
        concurrent: int = CONCURRENT,
    ) -> None:
        self._client = Client(
            url, key, timeout_s=timeout_s, retries=retries, compress=compress, stretch_rows=stretch_rows
        )
        self._threads = ThreadPoolExecutor(concurrent, thread_name_prefix="k2-client")

    def query(self, query: str, /, **parameters: object) -> AsyncAnswer:
        """Ask any query by its name; see `Client.query`."""
        return AsyncAnswer(self._threads, partial(self._client.query, query, **parameters))

    async def close(self) -> None:
        """Close the connections; answers that are not read to their end break off."""
        self._client.close()
        self._threads.shutdown(wait=False)

    def _replay(self, **parameters: object) -> AsyncReplay:
        is_paced = parameters["rate"] is not None or parameters["speed"] not in (None, "max")
        return AsyncReplay(self._threads, partial(self._client._replay, **parameters), is_paced=is_paced)  # noqa: SLF001 - its other face

    def _replay_batches(self, **parameters: object) -> AsyncAnswer:
        return AsyncAnswer(self._threads, partial(self._client._replay_batches, **parameters))  # noqa: SLF001 - as above

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
