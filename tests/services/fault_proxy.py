"""A real fault-injecting proxy, toxiproxy, between K2 and a server; where it comes from: `tests.services.artifacts`."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.services.artifacts import FAULT_PROXY, go_program
from tests.services.servers import free_port, running

ANSWER_WITHIN_S = 10.0
"""Deadline of one request to the proxy's own interface."""


@dataclass(frozen=True)
class Proxy:
    """One way through the proxy: connections to `port` go to the server's."""

    api: str
    name: str
    port: int

    def cut(self) -> None:
        """Close what is connected, refuse what comes."""
        self._change(enabled=False)

    def mend(self) -> None:
        """Let everything through again."""
        self._change(enabled=True)
        for toxic in _ask(f"{self._url}/toxics"):
            _ask(f"{self._url}/toxics/{toxic['name']}", "DELETE")

    def slow(self, latency_ms: int) -> None:
        """Hold every piece of every answer back."""
        self._poison("latency", latency=latency_ms)

    def half_open(self) -> None:
        """Keep connections open and say nothing in them any more, neither way."""
        self._poison("timeout", timeout=0)
        self._poison("timeout", "upstream", timeout=0)

    def lead_to(self, port: int) -> None:
        """Send what comes to another server."""
        _ask(self._url, "POST", {"upstream": f"127.0.0.1:{port}"})

    def _poison(self, kind: str, stream: str = "downstream", **attributes: int) -> None:
        toxic = {"name": f"{kind}-{stream}", "type": kind, "stream": stream, "attributes": attributes}
        _ask(f"{self._url}/toxics", "POST", toxic)

    def _change(self, *, enabled: bool) -> None:
        _ask(self._url, "POST", {"enabled": enabled})

    @property
    def _url(self) -> str:
        return f"{self.api}/proxies/{self.name}"


@dataclass(frozen=True)
class FaultProxy:
    """A running proxy."""

    api: str

    def to(self, name: str, upstream_port: int, port: int = 0) -> Proxy:
        """Open a way to a port of this machine, on a free port if none is given."""
        proxy = Proxy(self.api, name, port or free_port())
        way = {
            "name": name,
            "listen": f"127.0.0.1:{proxy.port}",
            "upstream": f"127.0.0.1:{upstream_port}",
            "enabled": True,
        }
        _ask(f"{self.api}/proxies", "POST", way)
        return proxy


@contextlib.contextmanager
def fault_proxy(folder: Path) -> Iterator[FaultProxy]:
    """Run a proxy without any way through it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    found = FaultProxy(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        with contextlib.suppress(OSError):
            _ask(f"{found.api}/version")
            return True
        return False

    command = [go_program(FAULT_PROXY), "-host", "127.0.0.1", "-port", port]
    with running(command, folder / "toxiproxy.out", answers):
        yield found


def _ask(url: str, method: str = "GET", body: object = None):
    request = urllib.request.Request(  # noqa: S310 - ours
        url, None if body is None else json.dumps(body).encode(), method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310 - ours
            text = answer.read()
    except urllib.error.HTTPError as refused:
        raise RuntimeError(f"toxiproxy refuses {method} {url}: {refused.read().decode()}") from refused
    return json.loads(text) if text.startswith((b"{", b"[")) else None
