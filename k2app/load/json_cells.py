"""Cells of JSON: lists of conditions and objects of attributes, as K2's own CSV has them.

Each distinct cell is read once: conditions repeat, attributes may not. Files of others have neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.load import texts
from k2app.load.parsed import Parsed, mask, only, refuse
from k2app.load.records import ATTRIBUTES, CONDITIONS


def read_conditions(text: Any, separator: str) -> Parsed:
    """Lists of words: JSON where a cell starts with a bracket, else cut at the separator."""
    packed = pc.starts_with(text, "[").fill_null(False)
    if not pc.any(packed).as_py():
        return Parsed(texts.read_conditions(text, separator), {})
    plain = texts.read_conditions(only(text, pc.invert(packed)), separator)
    lists, refused = _decoded(only(text, packed), _words, "a JSON list of texts")
    unpacked = pa.array([one or [] for one in lists], CONDITIONS)
    place = np.arange(len(text)) + len(text) * mask(packed)
    return Parsed(pa.concat_arrays([plain, unpacked]).take(pa.array(place)), refused)


def add_attributes(attributes: Any, text: Any) -> Parsed:
    """Attributes with those of the JSON objects beside them; where both have a name, the first."""
    packed, refused = _decoded(text, _texts, "a JSON object of texts")
    merged = [
        {**(more or {}), **dict(one or [])} or None
        for one, more in zip(attributes.to_pylist(), packed, strict=True)
    ]
    pairs = [None if one is None else list(one.items()) for one in merged]
    return Parsed(pa.array(pairs, ATTRIBUTES), refused)


def _decoded(text: Any, check: Callable[[Any], Any], what: str) -> tuple[list[Any], dict[int, str]]:
    """What each cell holds, None where it says nothing or is refused."""
    distinct = text.dictionary_encode()
    found = [_decode(cell, check) for cell in distinct.dictionary.to_pylist()]
    values = [None if index is None else found[index] for index in distinct.indices.to_pylist()]
    bad = mask(text.is_valid()) & np.array([value is None for value in values], np.bool_)
    return values, refuse(text, bad, lambda cell: f"{cell!r} is not {what}")


def _decode(cell: str, check: Callable[[Any], Any]) -> Any:
    try:
        return check(json.loads(cell))
    except (ValueError, RecursionError):
        return None


def _words(value: Any) -> list[str] | None:
    good = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return value if good else None


def _texts(value: Any) -> dict[str, str] | None:
    good = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    return value if good else None
