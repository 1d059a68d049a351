"""Strings as JSON and CSV have them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from k2app.query.answers.row_text import text_offsets


def json_strings(texts: pa.Array) -> pa.Array:
    """Strings as JSON has them. Source: RFC 8259, 7."""
    quoted = wrapped('"', texts, '"')
    odd = pc.match_substring_regex(texts, r'["\\\x00-\x1f]')
    escaped = [json.dumps(text, ensure_ascii=False) for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(quoted, odd, pa.array(escaped, pa.large_string())) if escaped else quoted


def is_odd_in_json(texts: pa.Array) -> bool:
    """Whether one has more to it than quotes."""
    data = _data(texts)
    return bool(((data < ord(" ")) | (data == ord('"')) | (data == ord("\\"))).any())


def csv_fields(texts: pa.Array) -> pa.Array:
    """Texts with quotes around those that need them."""
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(pc.match_substring_regex(texts, '[",\r\n]|^$'), wrapped('"', doubled, '"'), texts)


def is_odd_in_csv(texts: pa.Array) -> bool:
    """Whether one needs quotes."""
    data = _data(texts)
    odd = (data == ord('"')) | (data == ord(",")) | (data == ord("\r")) | (data == ord("\n"))
    return bool(odd.any()) or not np.diff(text_offsets(texts)).all()


def _data(texts: pa.Array) -> npt.NDArray[np.uint8]:
    """All bytes of the texts, and perhaps some that stand where one is null."""
    offsets = text_offsets(texts)
    buffer = texts.buffers()[2]
    return np.frombuffer(b"" if buffer is None else buffer, np.uint8)[int(offsets[0]) : int(offsets[-1])]


def wrapped(opening: str, text: pa.Array, closing: str) -> pa.Array:
    """Each text (large_string) between two others; null as null."""
    return pc.binary_join_element_wise(_scalar(opening), text, _scalar(closing), _scalar(""))


def _scalar(text: str) -> Any:
    return pa.scalar(text, pa.large_string())
