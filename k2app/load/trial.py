"""Reading a file once without sending anything: what it holds, and whether it may be loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2app.load import numbering
from k2app.load.numbering import Key
from k2app.load.reader import Block
from k2app.load.rejects import RejectsFile


@dataclass
class Trial:
    """What a file holds.

    Attributes
    ----------
    counts
        Rows by symbol and trading date.
    unsequenced
        Rows without a sequence number of their own.
    ambiguous
        Rows whose local time came twice.
    rejects_file
        Where the rejects are, if they were kept and there are any.
    """

    counts: Counter[Key] = field(default_factory=Counter)
    rows: int = 0
    rejects: int = 0
    unsequenced: int = 0
    ambiguous: int = 0
    rejects_file: Path | None = None

    def add(self, block: Block, trading_dates: Any) -> None:
        """Add a block, with the trading date of each of its rows."""
        self.counts.update(numbering.count([(block.rows, trading_dates)]))
        self.rows += block.rows.num_rows
        self.rejects += len(block.rejects)
        self.ambiguous += block.ambiguous
        if "sequence" in block.rows.column_names:
            self.unsequenced += block.rows["sequence"].null_count


def run(
    blocks: Iterable[Block],
    trading_dates: Callable[[Any], Any],
    kept: RejectsFile | None,
    progress: Callable[[Trial, Block], None],
) -> Trial:
    """Read all blocks.

    Parameters
    ----------
    trading_dates
        Of rows: int32[n], days since 1970-01-01.
    kept
        Where rejects go; None: they are only counted.
    progress
        Hears after each block.
    """
    trial = Trial()
    for block in blocks:
        trial.add(block, trading_dates(block.rows))
        if kept is not None:
            kept.write(block.rejects)
        progress(trial, block)
    return trial
