"""What a query answered, while it comes in: batches, rows, or a whole table for Arrow, pandas and polars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from k2app.client.answer_course import AnswerCourse
from k2app.client.opened import Opened
from k2app.client.rows import to_rows
from k2app.errors import OperatorError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Answer(Opened):
    """Rows on their way, and what is said of them.

    The rows come in while they are read, in bounded memory: either with `batches` or `rows`, once; or all of them, with
    `arrow`, `pandas` or `polars`, which keep them. Reading to the end proves them complete; an answer that is
    not, raises.
    """

    def __init__(self, course: AnswerCourse) -> None:
        super().__init__(course)
        self._course = course
        self._is_begun = False
        self._table: pa.Table | None = None

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of every batch."""
        return self._course.schema.remove_metadata()  # type: ignore[union-attr]  # an open course has one

    @property
    def next(self) -> str | None:
        """Cursor of what comes after the last row, where a limit ended the answer; known when all was read."""
        return self._course.next

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows as they come in; none of the batches is empty.

        Raises
        ------
        TransientError
            The answer broke off, and could not be taken up again.
        OperatorError
            It was read before.
        """
        if self._table is not None:
            yield from self._table.to_batches()
            return
        self._begin()
        while (batch := self._course.read()) is not None:
            yield batch.replace_schema_metadata(None)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows as dicts: decimals as Decimal, times as datetime in UTC. Raises what `batches` raises."""
        for batch in self.batches():
            yield from to_rows(batch)

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table; may be called again. Raises what `batches` raises."""
        if self._table is None:
            self._table = pa.Table.from_batches(list(self.batches()), self.schema)
        return self._table

    def pandas(self, **options: Any) -> pd.DataFrame:
        """All rows as a pandas DataFrame; decimals stay Decimal.

        Parameters
        ----------
        options
            As `pyarrow.Table.to_pandas` takes them, such as `types_mapper=pd.ArrowDtype`.

        Raises
        ------
        OperatorError
            pandas is not installed.
        """
        _need("pandas")
        return self.arrow().to_pandas(**options)

    def polars(self) -> pl.DataFrame:
        """All rows as a polars DataFrame; decimals stay decimals.

        Raises
        ------
        OperatorError
            polars is not installed.
        """
        return _need("polars").from_arrow(self.arrow())

    def _begin(self) -> None:
        if self._is_begun:
            raise OperatorError("the answer was read already; ask again, or keep its rows with arrow()")
        self._is_begun = True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.rows()


def _need(package: str) -> Any:
    """Import an optional package.

    Raises
    ------
    OperatorError
        It is not installed.
    """
    from importlib import import_module  # noqa: PLC0415 - beside its one use

    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise OperatorError(f"{package}() needs {package}: pip install {package}") from error
