"""A relay in front of an HTTP server that swallows one answer, as a network may: the request has been carried out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536


class Relay:
    """Passes bytes both ways; after `swallow`, one answer to a request that begins so is not passed on."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._wanted: bytes | None = None
        self.swallowed = 0
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self, beginning: str) -> None:
        """Lose the answer to the next request whose first bytes are these, once the server has given it."""
        self._wanted = beginning.encode()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                lost = threading.Event()
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(*pair, lost), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, asks: bool, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if asks and self._wanted is not None and data.startswith(self._wanted):
                    self._wanted = None
                    lost.set()
                if not asks and lost.is_set():
                    self.swallowed += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    """Run a relay to a port of this machine until the end of the block."""
    found = Relay(port)
    try:
        yield found
    finally:
        found.close()
