"""Which trades bars leave out: by the rule of each exchange, or by conditions that the request names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from k2app.market.exchanges import Exchange
from k2app.query.reading.bounds import Known

VENUE = "venue"
"""Attribute that names the venue of a print."""

_CONDITIONS = "conditions.list.element"
_KEYS = "attributes.key_value.key"
_VALUES = "attributes.key_value.value"


@dataclass(frozen=True)
class LeftOut:
    """A rule in SQL.

    Parameters
    ----------
    sql
        True of the trades that are left out, never null; None: there can be none.
    parameters
        What it binds.
    rule
        The rule in words.
    """

    sql: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    rule: str = ""


def by_conditions(known: Known, conditions: Iterable[str]) -> LeftOut:
    """Trades that have any of these conditions."""
    listed = sorted(set(conditions))
    sql, parameters = _has_any(_possible(known, _CONDITIONS, listed), "left_out")
    return LeftOut(sql or None, parameters, f"conditions {', '.join(listed)}")


def off_market(known: Known, exchanges: Mapping[str, Exchange]) -> LeftOut:
    """Prints off the market, by each exchange's own rule."""
    parts, rules = [], []
    parameters: dict[str, object] = {}
    for number, (name, exchange) in enumerate(sorted(exchanges.items())):
        if not _possible(known, "exchange", (name,)):
            continue
        sql, values = _one(known, exchange, f"off_{number}")
        if sql:
            at = f"off_{number}_name"
            parts.append(f"(exchange = ${at}::VARCHAR AND ({sql}))")
            parameters |= {**values, at: name}
            rules.append(f"{name}: {_words(exchange)}")
    if not parts:
        return LeftOut()
    return LeftOut(f"({' OR '.join(parts)})", parameters, "; ".join(rules))


def _one(known: Known, exchange: Exchange, at: str) -> tuple[str, dict[str, object]]:
    """The rule of one exchange, as far as the files may have such prints."""
    rule = exchange.off_market
    conditions, parameters = _has_any(_possible(known, _CONDITIONS, rule.conditions), f"{at}_condition")
    venues = _possible(known, _VALUES, rule.venues) if _possible(known, _KEYS, (VENUE,)) else []
    parts = [conditions] if conditions else []
    if venues:
        parts.append(f"coalesce(list_contains(${at}_venues::VARCHAR[], attributes['{VENUE}']), false)")
        parameters[f"{at}_venues"] = venues
    return " OR ".join(parts), parameters


def _has_any(conditions: list[str], at: str) -> tuple[str, dict[str, object]]:
    """True of prints that have one of these; one `list_contains` for each takes a third of `list_has_any`'s time."""
    names = {f"{at}_{number}": condition for number, condition in enumerate(conditions)}
    found = " OR ".join(f"list_contains(conditions, ${name}::VARCHAR)" for name in names)
    return (f"coalesce({found}, false)" if found else ""), dict(names)


def _possible(known: Known, path: str, texts: Iterable[str]) -> list[str]:
    """Those of the texts that a row may have; all of them where nothing is known."""
    bounds = known.get(path)
    return [text for text in texts if bounds is None or bounds.may_hold(text)]


def _words(exchange: Exchange) -> str:
    rule = exchange.off_market
    conditions = f"conditions {', '.join(rule.conditions)}" if rule.conditions else ""
    venues = f"venues {', '.join(rule.venues)}" if rule.venues else ""
    return " or ".join(filter(None, (conditions, venues)))
