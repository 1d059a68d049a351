"""Which partition a key belongs to: the hash of Kafka's Java client, on the embedded log too.

So the same symbol is in the same partition whichever log carries it, and whoever produced it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from aiokafka.partitioner import murmur2

_POSITIVE = 0x7FFF_FFFF
"""Mask that Kafka's client applies to its hash."""


@lru_cache(maxsize=100_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Partition of one key."""
    return int((murmur2(key) & _POSITIVE) % partitions)


def partitions_of(keys: pa.Array | pa.ChunkedArray, partitions: int) -> npt.NDArray[np.int64]:
    """Partition of each key; the hash is taken once per distinct key.

    Parameters
    ----------
    keys
        Strings, none null.
    partitions
        Number of partitions of the topic.
    """
    whole = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    coded = pc.dictionary_encode(whole)
    distinct = [partition_of(key.encode(), partitions) for key in coded.dictionary.to_pylist()]
    table = np.array(distinct, np.int64)
    return table[coded.indices.to_numpy()] if len(table) else np.zeros(0, np.int64)
