"""Sequence numbers expected and seen, by trading date, where a symbol counts one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from k2app.market.sequence_rules import INT64_MAX, Rule
from k2app.query.reading.filters import Filter
from k2app.query.reading.reader import Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import Judgement

_KEY = "symbol, exchange, asset_class, scope, epoch"
"""What is numbered on its own; `scope` is one constant date where the numbering goes on from date to date."""

_BODY = f"""
, numbered AS NOT MATERIALIZED (
  SELECT symbol, exchange, asset_class, epoch, trading_date, retracted, sequence AS number,
    CASE WHEN $dated THEN trading_date ELSE DATE '1970-01-01' END AS scope
  FROM judged WHERE sequence IS NOT NULL)
, days AS (
  SELECT {_KEY}, trading_date, max(number)::HUGEINT AS highest, min(number)::HUGEINT AS lowest,
    count(DISTINCT number) FILTER (NOT retracted) AS here
  FROM numbered GROUP BY ALL)
, reached AS (
  SELECT {_KEY}, trading_date, lowest, here,
    max(highest) OVER (PARTITION BY {_KEY} ORDER BY trading_date ROWS UNBOUNDED PRECEDING) AS high,
    max(highest) OVER (
      PARTITION BY {_KEY} ORDER BY trading_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
    min(lowest) OVER (PARTITION BY {_KEY}) AS low
  FROM days)
, firsts AS (SELECT unnest($names::VARCHAR[]) AS exchange, unnest($firsts::BIGINT[])::HUGEINT AS first)
, spans AS (
  SELECT {_KEY}, trading_date, high, here,
    coalesce(before, least(low, CASE WHEN epoch = 0 THEN first END) - 1) AS below,
    bool_and(before IS NULL OR lowest > before) OVER (PARTITION BY {_KEY}) AS apart
  FROM reached JOIN firsts USING (exchange))
, numbers AS (
  SELECT DISTINCT {_KEY}, number
  FROM numbered SEMI JOIN (SELECT * FROM spans WHERE NOT apart) AS mixed USING ({_KEY})
  WHERE NOT retracted)
, seen AS (
  SELECT spans.symbol, spans.exchange, spans.asset_class, spans.scope, spans.epoch, spans.trading_date, count(*) AS seen
  FROM numbers ASOF JOIN (SELECT * FROM spans WHERE high > below AND NOT apart) AS spans
    ON numbers.symbol = spans.symbol AND numbers.exchange = spans.exchange
    AND numbers.asset_class = spans.asset_class AND numbers.scope = spans.scope AND numbers.epoch = spans.epoch
    AND numbers.number <= spans.high
  GROUP BY ALL)
SELECT symbol, exchange, asset_class, trading_date,
  least(sum(high - below), {INT64_MAX})::BIGINT AS expected,
  sum(CASE WHEN apart THEN here ELSE coalesce(seen, 0) END)::BIGINT AS seen
FROM spans LEFT JOIN seen USING ({_KEY}, trading_date) GROUP BY ALL
"""
"""A span is the numbers (below, high] that a date is the first to reach; `first` is that of epoch 0, since a numbering
that began again began where it was seen to. Only where dates are not `apart` (a number lies below one of an earlier
date) is it asked of each number which span it lies in."""


class Numbers(NamedTuple):
    """Of one trading date."""

    expected: int
    seen: int


def count_numbers(
    reader: Reader,
    found: SnapshotSet,
    table: str,
    terms: Filter,
    judged: Judgement,
    rules: Mapping[str, Rule],
) -> dict[tuple[str, str, str, date], Numbers]:
    """Count numbers by symbol, exchange, asset class and trading date.

    Parameters
    ----------
    terms
        Rows to count: all of a scope, or numbers of it are taken for missing.
    rules
        By exchange: contiguous ones, of one scope.
    """
    names = sorted(rules)
    values = {
        "dated": all(rule.scope == "trading_date" for rule in rules.values()),
        "names": names,
        "firsts": [rules[name].first for name in names],
    }
    rows = reader.query(found, table, terms, judged.sql + _BODY, {**judged.parameters, **values}).to_pylist()
    return {
        (row["symbol"], row["exchange"], row["asset_class"], row["trading_date"]): Numbers(
            row["expected"], row["seen"]
        )
        for row in rows
    }
