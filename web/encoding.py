"""Compression of answers, where the client asks for it. Source: RFC 9110, 12.5.3."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa

from k2app.query.beside import Bytes

SMALL_BYTES = 1_400
"""Answers that fit into a packet are not worth it."""

GZIP_LEVEL = 1
"""Fastest: gzip at higher levels is slower than any network that this serves."""

_GZIP_WINDOW = 31
"""zlib's number for a window of 32 KiB in gzip's framing."""

Write = Callable[[bytes], object]


class Encoder(Protocol):
    """Writes compressed what it is given."""

    def write(self, data: Bytes) -> object:
        """Take the next bytes."""

    def close(self) -> None:
        """Write what is still held, and the end."""

    def drop(self) -> None:
        """Write nothing more: the answer broke off, and must not get an end."""


def chosen(accept_encoding: str) -> str | None:
    """The client's choice of zstd and gzip; None: neither."""
    taken = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        taken[name.strip()] = parameters.strip().replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((name for name in ("zstd", "gzip") if taken.get(name)), None)


def encoder(name: str, write: Write) -> Encoder:
    """Make the encoder of a name that `chosen` gave."""
    return _Gzip(write) if name == "gzip" else _Zstd(write)


def encoded(name: str, data: bytes) -> bytes:
    """Compress a whole answer."""
    pieces: list[bytes] = []
    made = encoder(name, pieces.append)
    made.write(data)
    made.close()
    return b"".join(pieces)


class _Gzip:
    def __init__(self, write: Write) -> None:
        self._write = write
        self._zlib = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_WINDOW)

    def write(self, data: Bytes) -> object:
        return self._hand_on(self._zlib.compress(data))

    def close(self) -> None:
        self._hand_on(self._zlib.flush())

    def drop(self) -> None:
        """It writes nothing by itself."""

    def _hand_on(self, data: bytes) -> object:
        return self._write(data) if data else None


class _Zstd:
    def __init__(self, write: Write) -> None:
        self._file = _File(write)
        self._stream = pa.CompressedOutputStream(pa.PythonFile(self._file, mode="w"), "zstd")

    def write(self, data: Bytes) -> object:
        return self._stream.write(data)

    def close(self) -> None:
        self._stream.close()

    def drop(self) -> None:
        # Arrow ends its stream when nobody holds it any more.
        self._file.is_dropped = True


class _File(io.RawIOBase):
    def __init__(self, write: Write) -> None:
        self._hand_on = write
        self.is_dropped = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data)
        if not self.is_dropped:
            self._hand_on(taken)
        return len(taken)
