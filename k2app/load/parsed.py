"""Columns of text, and what reading one gives: values, and rows that were refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One field of every row.

    Attributes
    ----------
    values
        Arrow array[n]; null where a row says nothing, and where it was refused.
    refused
        Row -> reason.
    """

    values: Any
    refused: dict[int, str]


def octets(text: Any) -> tuple[Octets, Int64s]:
    """Bytes of a string array, and where each cell starts in them: uint8, int64[n + 1]."""
    _, places, data = text.buffers()
    offsets = np.frombuffer(places, np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    return np.frombuffer(b"" if data is None else data, np.uint8), offsets


def all_within(text: Any, allowed: Mask) -> bool:
    """Whether the cells hold no other bytes than these (bool[256])."""
    data, offsets = octets(text)
    return bool(allowed[data[offsets[0] : offsets[-1]]].all())


def byte_set(characters: str) -> Mask:
    """A bool[256] for `all_within`."""
    allowed = np.zeros(256, np.bool_)
    allowed[list(characters.encode())] = True
    return allowed


def mask(values: Any) -> Mask:
    """A boolean array as numpy; null is False."""
    found: Mask = values.fill_null(False).to_numpy(zero_copy_only=False)
    return found


def refuse(text: Any, rows: Mask, why: Callable[[str], str]) -> dict[int, str]:
    """A reason for each of these rows, from its cell."""
    return {row: why(text[row].as_py() or "") for row in np.flatnonzero(rows).tolist()}


def cast_each(text: Any, kind: Any) -> Any:
    """Cast what can be, null what cannot; as fast as one cast where all can."""
    try:
        return pc.cast(text, kind)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return pa.nulls(1, kind)
    half = len(text) // 2
    return pa.concat_arrays([cast_each(text[:half], kind), cast_each(text[half:], kind)])


def only(text: Any, keep: Any) -> Any:
    """The cells where `keep` holds, null elsewhere."""
    return pc.if_else(keep, text, pa.scalar(None, text.type))
