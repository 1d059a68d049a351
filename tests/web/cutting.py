"""A way to a server that breaks: passes bytes on, and cuts answers where it is told to."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress

PIECE_BYTES = 4_096

PATIENCE_S = 30.0


class CuttingProxy:
    """Listens, and connects every caller to a server.

    Parameters
    ----------
    port
        The server's.
    """

    def __init__(self, port):
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts = []
        """Bytes after which each of the next connections is cut; those after them are not."""
        self.asked = []
        """First line of every request."""
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE_S)

    def _serve(self):
        callers = []
        with suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                callers.append(threading.Thread(target=self._pass_on, args=(caller,)))
                callers[-1].start()
        for thread in callers:
            thread.join(PATIENCE_S)

    def _pass_on(self, caller):
        """One request and its answer; nothing is kept open after it."""
        left = self.cuts.pop(0) if self.cuts else None
        with closing(caller), socket.create_connection(self._to) as server, suppress(OSError):
            head = _head(caller)
            self.asked.append(head.split(b"\r\n")[0].decode())
            server.sendall(head.replace(b"\r\nConnection: keep-alive", b"\r\nConnection: close"))
            while data := server.recv(PIECE_BYTES):
                caller.sendall(data if left is None else data[:left])
                left = None if left is None else left - len(data)
                if left is not None and left <= 0:
                    return


def _head(caller):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = caller.recv(PIECE_BYTES)
        if not piece:
            raise ConnectionError
        head += piece
    return head
