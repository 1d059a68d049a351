"""How the first rows of a file would be read, without loading any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from k2app.errors import OperatorError
from k2app.load.columns import Columns, near_misses
from k2app.load.profiles import Profile
from k2app.load.reader import Block, Context, Reject, read_anyway
from k2app.market.topics import DataType

BLOCK_BYTES: Final = 64 * 1024
"""Read at once: some hundred rows, of which few are shown."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows of a file.

    Attributes
    ----------
    columns
        How its columns are read.
    rows
        Table in the record's schema, by line.
    rejects
        Rows that could not be read, by line.
    near_misses
        Columns that nothing names, and what they may be meant for.
    """

    columns: Columns
    rows: Any
    rejects: list[Reject]
    near_misses: dict[str, str]


def preview(path: Path, profile: Profile, data_type: DataType, context: Context, rows: int) -> Preview:
    """Read the first rows of a file, good or not.

    Parameters
    ----------
    rows
        Rows and rejects together, at most.

    Raises
    ------
    OperatorError
        The file cannot be read, has no rows, or its header lacks a column.
    """
    blocks = _first(path, profile, data_type, replace(context, block_bytes=BLOCK_BYTES), rows)
    if not blocks:
        raise OperatorError(f"{path} has a header and no rows")
    table = pa.concat_tables([block.rows for block in blocks])
    rejects = [one for block in blocks for one in block.rejects]
    found = sorted([*table["source_line"].to_pylist(), *(one.line for one in rejects)])
    last = found[min(rows, len(found)) - 1]
    columns = blocks[0].columns
    return Preview(
        columns,
        table.filter(pc.less_equal(table["source_line"], last)),
        [one for one in rejects if one.line <= last],
        near_misses(columns, profile.shape(data_type)),
    )


def _first(path: Path, profile: Profile, data_type: DataType, context: Context, rows: int) -> list[Block]:
    blocks: list[Block] = []
    found = 0
    for block in read_anyway(path, profile, data_type, context):
        blocks.append(block)
        found += block.rows.num_rows + len(block.rejects)
        if found >= rows:
            break
    return blocks
