"""An Arrow stream as it comes in, checked by the count and hash in its last batch: `k2app.query.answers.writing`."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pyarrow as pa

from k2app.client.connection import Connection
from k2app.client.problems import IncompleteAnswerError


class ArrowStream:
    """One answer on its way, read once.

    Parameters
    ----------
    connection
        Where it comes from.
    response
        The answer, begun.

    Raises
    ------
    IncompleteAnswerError
        It broke off before its columns were there.
    """

    def __init__(self, connection: Connection, response: httpx.Response) -> None:
        self._url = connection.url
        self._received = _Received(connection, response)
        self._rows = 0
        self.next: str | None = None
        self.cursor: str | None = None
        """Where the answer goes on after the last batch, if the batch said so."""
        try:
            self._reader = pa.ipc.open_stream(self._received)
        except (pa.ArrowInvalid, EOFError) as error:
            self.close()
            raise self._broken("broke off before its columns were there") from error
        except BaseException:
            self.close()
            raise
        self.schema: pa.Schema = self._reader.schema

    @property
    def said(self) -> dict[str, Any]:
        """What the answer says of itself: snapshots, as_of, warnings."""
        return _said(self.schema.metadata or {})

    def read(self) -> pa.RecordBatch | None:
        """Next batch; None after the last, when `next` is known, and what was read is proven whole.

        Raises
        ------
        IncompleteAnswerError
            It broke off, or is not what the server sent.
        """
        digest = self._received.digest.copy()
        try:
            batch, marks = self._reader.read_next_batch_with_custom_metadata()
        except StopIteration as error:
            raise self._broken(f"ended after {self._rows} rows without saying so") from error
        except (pa.ArrowInvalid, OSError) as error:
            raise self._broken(f"broke off after {self._rows} rows") from error
        said = marks or {}
        if b"k2.rows" not in said:
            self._rows += batch.num_rows
            self.cursor = said[b"k2.cursor"].decode() if b"k2.cursor" in said else None
            return batch
        self._end(said, digest.hexdigest())
        return None

    def close(self) -> None:
        """Give the connection back; if the answer was not read to its end, the server stops."""
        self._received.close()

    def _end(self, marks: Mapping[bytes, bytes], digest: str) -> None:
        """Compare the answer with what its last batch says of it.

        Raises
        ------
        IncompleteAnswerError
            They differ.
        """
        rows = int(marks[b"k2.rows"])
        if rows != self._rows:
            raise self._broken(f"has {self._rows} of its {rows} rows")
        if marks[b"k2.sha256"].decode() != digest:
            raise self._broken("has not the bytes that the server sent")
        self._received.drain()
        self.next = marks[b"k2.next"].decode() or None

    def _broken(self, how: str) -> IncompleteAnswerError:
        return IncompleteAnswerError(f"the answer of {self._url} {how}")


class _Received(io.RawIOBase):
    """The body of a response as a file, hashed as it is read."""

    def __init__(self, connection: Connection, response: httpx.Response) -> None:
        self._connection = connection
        self._response = response
        self._pieces = response.iter_bytes()
        self._held = memoryview(b"")
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes (-1: all that is left), or fewer where the answer ends."""
        taken: list[memoryview] = []
        while size and self._fill():
            piece = self._held if size < 0 else self._held[:size]
            self._held = self._held[len(piece) :]
            size -= len(piece) if size > 0 else 0
            taken.append(piece)
        data = b"".join(taken)
        self.digest.update(data)
        return data

    def _fill(self) -> bool:
        """Have something to hand out; False at the end."""
        if not self._held:
            with self._connection.wrapped(begun=True):
                self._held = memoryview(next(self._pieces, b""))
        return bool(self._held)

    def drain(self) -> None:
        """Read what is left, so that the connection can be used again."""
        self.read()

    def close(self) -> None:
        if not self.closed:
            self._response.close()
        super().close()


def _said(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Members that the server put into the schema, without their prefix."""
    marked = ((key.decode(), value) for key, value in metadata.items())
    return {key.removeprefix("k2."): json.loads(value) for key, value in marked if key.startswith("k2.")}
