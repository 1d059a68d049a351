"""Bars in SQL: one pass over the trades, with what is left out counted on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from k2app.query.answers.page import Key
from k2app.query.bars.clocks import Clocks
from k2app.query.bars.left_out import LeftOut
from k2app.query.bars.order import order_number
from k2app.query.reading.bounds import Bounds, Known
from k2app.query.reading.visibility import DUPLICATE, Judgement

KEYS = ("symbol", "exchange", "currency")
"""What bars are of."""

SHOWN, LEFT_OUT, HIDDEN, RETRACTED = 0, 1, 2, 3
"""Status of a trade: in a bar; left out by a rule; a duplicate; of a retracted load."""

UNCOUNTED = 4
"""Status of a duplicate of a retracted load: hidden either way, and counted as neither."""

ALL = 2**62
"""A limit that is none."""

AGGREGATES = """
  arg_min(price, nth) AS open, max(price) AS high, min(price) AS low, arg_max(price, nth) AS close,
  sum(quantity) AS volume, sum(price::DECIMAL(38, 8) * quantity) AS notional, count(*) AS trades,
  min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp"""


@dataclass(frozen=True)
class BarsSql:
    """A question about bars, as SQL over `matching`.

    Parameters
    ----------
    known
        Bounds of the files that are read.
    clocks, left_out, judged
        When bars start, which trades they leave out by rule, and which are hidden.
    """

    known: Known
    clocks: Clocks
    left_out: LeftOut
    judged: Judgement

    def bars(self, after: Key | None, rows: int | None, *, counted: bool) -> tuple[str, dict[str, object]]:
        """Bars in order, after a key; and one row per status (`status` above 0) with the trades that have it.

        Parameters
        ----------
        rows
            Bars at most; None: all.
        counted
            Whether the rows per status are wanted.
        """
        timed, parameters = self._timed()
        keys = [name for name in KEYS if name not in self._constants]
        status = self._status()
        grouped = ", ".join([*keys, "start", *(["status"] if status else [])])
        # Read twice, it must not be computed twice.
        kept = "MATERIALIZED" if status and counted else ""
        with_bars = f"{timed}, bars AS {kept} (SELECT {grouped}, {AGGREGATES} FROM timed GROUP BY {grouped})"
        where, values = _after(after)
        order = ", ".join([*keys, "start"])
        page = (
            f"SELECT {self._named} FROM (SELECT *{self._constant_columns} FROM bars) "
            f"WHERE {'status = 0' if status else 'true'} AND {where} ORDER BY {order} LIMIT $rows"
        )
        values = {**parameters, **values, "rows": ALL if rows is None else rows}
        if not (status and counted):
            return f"{with_bars} {page}", values
        counts = "SELECT status, sum(trades)::BIGINT AS trades FROM bars WHERE status > 0 GROUP BY status"
        # UNION ALL keeps the order of its parts (DuckDB documentation, "Order Preservation").
        return f"{with_bars} ({page}) UNION ALL BY NAME ({counts})", values

    def counts(self) -> tuple[str, dict[str, object]] | None:
        """One row per status above 0 with the trades that have it; None where there can be none."""
        status = self._status()
        if status is None:
            return None
        sql = (
            f"{self._judged} SELECT {status} AS status, count(*) AS trades FROM {self._source} "
            "GROUP BY 1 HAVING status > 0"
        )
        return sql, {**self.judged.parameters, **self.left_out.parameters}

    def _timed(self) -> tuple[str, dict[str, object]]:
        """Trades with the start of their interval and their status."""
        only = _text(self.known.get("exchange"))
        start, names = self.clocks.sql(only)
        status = self._status()
        columns = f"{start} AS start{f', {status} AS status' if status else ''}"
        nth = order_number(self.known, "(us - start)", self.clocks.longest_us)
        sql = (
            f"{self._judged}, timed AS (SELECT *, {nth} AS nth FROM (SELECT *, {columns} FROM "
            f"(SELECT *, epoch_us(timestamp) AS us FROM {self._source})))"
        )
        constants: dict[str, object] = {f"is_{name}": text for name, text in self._constants.items()}
        return sql, {**self.judged.parameters, **self.left_out.parameters, **names, **constants}

    @property
    def _judged(self) -> str:
        return self.judged.sql if self._hides else ""

    @property
    def _source(self) -> str:
        return "judged" if self._hides else "matching"

    @property
    def _hides(self) -> bool:
        """Whether a trade may be a duplicate or retracted."""
        flags = self.known.get("sequence_flag")
        return bool(self.judged.withdrawn) or flags is None or flags.may_hold(DUPLICATE)

    def _status(self) -> str | None:
        """Status of a trade; None where all are shown."""
        cases = []
        if self.judged.withdrawn:
            cases += [
                f"WHEN retracted AND sequence_flag = '{DUPLICATE}' THEN {UNCOUNTED}",
                f"WHEN retracted THEN {RETRACTED}",
            ]
        if self._hides:
            cases.append(f"WHEN duplicate THEN {HIDDEN}")
        if self.left_out.sql is not None:
            cases.append(f"WHEN {self.left_out.sql} THEN {LEFT_OUT}")
        return f"(CASE {' '.join(cases)} ELSE {SHOWN} END)::UTINYINT" if cases else None

    @property
    def _constants(self) -> Mapping[str, str]:
        """Keys that are the same in every row: grouping by them would cost time for nothing."""
        texts = {name: _text(self.known.get(name)) for name in KEYS}
        return {name: text for name, text in texts.items() if text is not None}

    @property
    def _constant_columns(self) -> str:
        return "".join(f", $is_{name}::VARCHAR AS {name}" for name in self._constants)

    @property
    def _named(self) -> str:
        return (
            f"{', '.join(KEYS)}, start, open, high, low, close, volume, notional, trades, "
            f"first_timestamp, last_timestamp{', NULL::UTINYINT AS status' if self._status() else ''}"
        )


def _after(after: Key | None) -> tuple[str, dict[str, object]]:
    """Bars after a key of three values (from those of these names on) or four (after that bar)."""
    if after is None:
        return "true", {}
    columns = (*KEYS, "start")[: len(after)]
    kinds = ("VARCHAR", "VARCHAR", "VARCHAR", "BIGINT")
    values = ", ".join(f"$after_{n}::{kind}" for n, kind in enumerate(kinds[: len(after)]))
    sign = ">=" if len(after) == len(KEYS) else ">"
    return f"({', '.join(columns)}) {sign} ({values})", {f"after_{n}": value for n, value in enumerate(after)}


def _text(bounds: Bounds | None) -> str | None:
    """The one text that a column has, if it has only one."""
    if bounds is None or not bounds.constant or not isinstance(bounds.low, bytes):
        return None
    return bounds.low.decode()
