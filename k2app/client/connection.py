"""Requests to one server: its address, its key, and what is done when it does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx
import stamina

from k2app.client.parameters import Texts
from k2app.client.problems import (
    IncompleteAnswerError,
    LaterError,
    SlowAnswerError,
    may_retry,
    response_to_error,
)
from k2app.errors import K2Error, OperatorError, TransientError
from k2app.query.answers.formats import MEDIA_TYPES, Format

T = TypeVar("T")

CONNECT_WITHIN_S = 10.0
"""Seconds to reach the server: it is there or it is not."""

LONGEST_WAIT_S = 60.0
"""Seconds that a server may ask to wait; where it asks for more, its error is handed on."""

AGENT = "k2-client"


class Connection:
    """Connections to a server, kept open between requests. Safe between threads.

    Parameters
    ----------
    url
        Address of the server.
    key
        API key; None: the server asks for none.
    timeout_s
        Seconds of silence after which a request is given up.
    retries
        How often a request that was not answered is sent again.
    compress
        Whether answers travel compressed.

    Raises
    ------
    OperatorError
        The URL is not one.
    """

    def __init__(self, url: str, key: str | None, *, timeout_s: float, retries: int, compress: bool) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._attempts = retries + 1
        headers = {"User-Agent": AGENT} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        if not compress:
            headers["Accept-Encoding"] = "identity"
        self._http = httpx.Client(
            base_url=_checked(url),
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_WITHIN_S)),
            # Loading certificates takes longer than a query.
            verify=url.startswith("https:"),
        )

    def get(self, path: str, texts: Texts, form: Format) -> bytes:
        """Whole body of an answer; asks again where that may help.

        Raises
        ------
        K2Error
            What the server answered with, or that it did not.
        """
        return self.repeated(lambda: self._got(path, texts, form))

    def open(self, path: str, texts: Texts, form: Format) -> httpx.Response:
        """Begin an answer, once; whoever gets it reads and closes it.

        Raises
        ------
        K2Error
            What the server answered with, or that it did not.
        """
        params = httpx.QueryParams(tuple(texts))
        request = self._http.build_request("GET", path, params=params, headers={"Accept": MEDIA_TYPES[form]})
        with self.wrapped():
            response = self._http.send(request, stream=True)
        try:
            self._check(response, form)
        except BaseException:
            response.close()
            raise
        return response

    def repeated(self, work: Callable[[], T]) -> T:
        """Do something until it is done, or its error is not one that time mends."""
        for attempt in stamina.retry_context(on=_wait_s, attempts=self._attempts, timeout=None):
            with attempt:
                return work()
        raise AssertionError("retry_context returns or raises")  # pragma: no cover - for the type checker

    @contextmanager
    def wrapped(self, *, begun: bool = False) -> Iterator[None]:
        """Turn httpx's errors into ours.

        Parameters
        ----------
        begun
            Whether some of the answer is there already.
        """
        try:
            yield
        except httpx.HTTPError as error:
            raise self._error(error, begun=begun) from error

    def close(self) -> None:
        """Close the connections; answers that are not read to their end break off."""
        self._http.close()

    def _got(self, path: str, texts: Texts, form: Format) -> bytes:
        response = self.open(path, texts, form)
        try:
            with self.wrapped(begun=True):
                return response.read()
        finally:
            response.close()

    def _check(self, response: httpx.Response, form: Format) -> None:
        if not response.is_success:
            with self.wrapped():
                response.read()
            raise response_to_error(response)
        kind = response.headers.get("Content-Type", "nothing").partition(";")[0]
        if kind != MEDIA_TYPES[form]:
            raise OperatorError(
                f"{self.url} answers with {kind}, not {MEDIA_TYPES[form]}: is it a K2 server?"
            )

    def _error(self, error: httpx.HTTPError, *, begun: bool) -> K2Error:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return TransientError(
                f"{self.url} cannot be reached: {error}; is `k2 web` or `k2 worker` running?"
            )
        if begun:
            return IncompleteAnswerError(f"the answer of {self.url} broke off: {error!r}")
        if isinstance(error, httpx.PoolTimeout):
            return TransientError(
                f"too many answers of {self.url} are open at once; read them, or close them"
            )
        if isinstance(error, httpx.TimeoutException):
            return SlowAnswerError(
                f"{self.url} sent nothing for {self._timeout_s:g} s; ask for less, or give it longer (timeout_s)"
            )
        if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol):
            return TransientError(f"{self.url} did not answer: {error!r}")
        return OperatorError(f"{self.url} cannot be asked: {error!r}")


def _checked(url: str) -> httpx.URL:
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise OperatorError(f"{url!r} is not a URL: {error}; such as http://localhost:6066") from error
    if found.scheme not in {"http", "https"} or not found.host:
        raise OperatorError(f"{url!r} is not the URL of a server; such as http://localhost:6066")
    return found


def _wait_s(error: Exception) -> bool | float:
    """Whether to ask again, and after how many seconds (True: a little longer each time)."""
    if not may_retry(error):
        return False
    if isinstance(error, LaterError):
        return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else False
    return True
