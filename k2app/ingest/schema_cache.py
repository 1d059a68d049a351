"""Writers' schemas by id, asked of the registry once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from k2app.avro.schema import Schema, parse
from k2app.errors import OperatorError
from k2app.stream.record_batch import Int64s
from k2app.stream.registry import Registry

_HEADER_BYTES = 5
"""Magic byte and schema id (Source: Confluent wire format)."""


class SchemaCache:
    """Parsed schemas of a registry. An id never changes its schema; one that is not there yet is asked again."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[int, Schema] = {}
        self._refused: dict[int, str] = {}

    def writers(self, data: pa.Buffer, starts: Int64s, lengths: Int64s) -> dict[int, Schema]:
        """Schemas of the ids that these messages name; what cannot be had is left out.

        Raises
        ------
        TransientError
            The registry does not answer: nothing is known about the messages.
        """
        ids = distinct_ids(data, starts, lengths)
        for schema_id in ids:
            if schema_id not in self._schemas and schema_id not in self._refused:
                self._ask(schema_id)
        return {i: self._schemas[i] for i in ids if i in self._schemas}

    def __len__(self) -> int:
        """Schemas that can be read."""
        return len(self._schemas)

    def refusals(self) -> dict[int, str]:
        """Why registered schemas cannot be read, by id."""
        return self._refused

    def _ask(self, schema_id: int) -> None:
        text = self._registry.schema(schema_id)
        if text is None:
            return
        try:
            self._schemas[schema_id] = parse(text)
        except OperatorError as error:
            self._refused[schema_id] = f"schema id {schema_id} cannot be read: {error}"


def distinct_ids(data: pa.Buffer, starts: Int64s, lengths: Int64s) -> list[int]:
    """Schema ids that the messages name, ascending; messages too short or without the magic byte are passed over."""
    octets = np.frombuffer(data, np.uint8)
    framed = starts[lengths >= _HEADER_BYTES]
    framed = framed[octets[framed] == 0] if len(framed) else framed
    ids = np.zeros(len(framed), np.int64)
    for k in range(1, _HEADER_BYTES):
        ids = ids << 8 | octets[framed + k]
    distinct: list[int] = np.unique(ids).tolist()
    return distinct
