"""Exchanges are data: what ships in `exchanges.toml`, overridden and extended by the user's file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from k2app.errors import OperatorError
from k2app.market.sequence_rules import UNSEQUENCED, Rule
from k2app.market.topics import EXCHANGE_PATTERN, AssetClass, DataType

SHIPPED = "exchanges.toml"
"""The file beside this module."""

MAX_PARTITIONS = 1_024
"""Per topic: far beyond what one group of workers consumes, and it catches a slip of the finger."""

NOON = 12 * 60
"""Minutes; a session that starts later belongs to the next calendar date."""

_MERGED = ("sequences", "off_market")
"""Keys that are tables: a user's file overrides what is in them key by key."""


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("not an IANA time zone, such as 'Australia/Sydney' or 'UTC'") from error
    return name


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OffMarket(_Data):
    """Prints left out of bars: with any of these conditions, or made on any of these venues."""

    conditions: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()


class Sequences(_Data):
    """The sequence rule of each data type that has one."""

    trades: Rule
    quotes: Rule


class Exchange(_Data):
    """One exchange.

    Parameters
    ----------
    name
        As it stands in topics and rows.
    asset_class
        What is traded on it.
    time_zone
        IANA name; times in its files are local to it unless they say otherwise.
    session_start
        `HH:MM`, local: when a trading date begins. Up to 12:00, times at or after it belong to the date of
        the day on which they fall (earlier ones to the date before). After 12:00, times at or after it
        belong to the *next* calendar date: futures sessions that start the evening before.
    currency
        Of a record whose source does not say.
    partitions
        Of its trades and quotes topics; reference data always has one.
    sequences
        The rules for trades and quotes.
    off_market
        What is left out of bars.
    on_request
        Served only if it is named: every exchange costs each start of a worker some tenths of a second.
    """

    name: Annotated[str, Field(pattern=f"^{EXCHANGE_PATTERN}$")]
    asset_class: AssetClass
    time_zone: Annotated[str, AfterValidator(_time_zone)]
    session_start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,12}$")]
    partitions: Annotated[int, Field(strict=True, ge=1, le=MAX_PARTITIONS)]
    sequences: Sequences
    off_market: OffMarket = OffMarket()
    on_request: Annotated[bool, Field(strict=True)] = False

    @property
    def session_start_minutes(self) -> int:
        """Minutes from local midnight to the session's start."""
        hours, minutes = self.session_start.split(":")
        return int(hours) * 60 + int(minutes)

    @property
    def session_starts_the_evening_before(self) -> bool:
        """Whether times from the session's start on belong to the next calendar date."""
        return self.session_start_minutes > NOON

    def rule(self, data_type: DataType) -> Rule:
        """The sequence rule of a data type; reference data has none."""
        rules = {DataType.TRADES: self.sequences.trades, DataType.QUOTES: self.sequences.quotes}
        return rules.get(data_type, UNSEQUENCED)

    def topic_partitions(self, data_type: DataType) -> int:
        """Partitions of its topic of this data type."""
        return 1 if data_type is DataType.REFERENCE_DATA else self.partitions


@dataclass(frozen=True)
class Exchanges(Mapping[str, Exchange]):
    """Exchanges by name, in the order of the files; what is not there is a KeyError, as in any mapping."""

    by_name: Mapping[str, Exchange]

    def __getitem__(self, name: str) -> Exchange:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def named(self, name: str) -> Exchange:
        """The exchange of that name.

        Raises
        ------
        OperatorError
            There is none; lists those that are.
        """
        if name not in self.by_name:
            raise OperatorError(f"exchange {name!r} is not configured; configured are {', '.join(self)}")
        return self.by_name[name]

    def served(self, names: str) -> Exchanges:
        """The exchanges that a comma-separated list names; without a name, all but those on request.

        Raises
        ------
        OperatorError
            One of them is not configured.
        """
        listed = [name for part in names.split(",") if (name := part.strip())]
        wanted = listed or [name for name, exchange in self.items() if not exchange.on_request]
        return Exchanges({name: self.named(name) for name in wanted})


def load(user_file: Path | None = None) -> Exchanges:
    """Read the shipped exchanges, and the user's on top of them.

    A key in the user's file replaces the shipped one of the same exchange; `sequences` and `off_market`
    are replaced key by key. An exchange that does not ship must be complete.

    Raises
    ------
    OperatorError
        The user's file cannot be read or is not valid; names file, exchange, key, value and what it takes.
    """
    shipped = tomllib.loads(resources.files(__package__).joinpath(SHIPPED).read_text(encoding="utf-8"))
    given = {} if user_file is None else _read(user_file)
    # A mistake can only be the user's: the shipped file is tested.
    file = SHIPPED if user_file is None else str(user_file)
    names = dict.fromkeys([*shipped, *given])
    return Exchanges(
        {name: _exchange(file, name, _merge(shipped.get(name, {}), given.get(name, {}))) for name in names}
    )


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OperatorError(f"exchanges file {file}: cannot be read: {error}") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise OperatorError(
                f"exchanges file {file}: {name} = {table!r} stands outside any exchange; it takes one table "
                "per exchange, [name]"
            )
    return tables


def _merge(shipped: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**shipped, **given}
    for key in _MERGED:
        if isinstance(shipped.get(key), dict) and isinstance(given.get(key), dict):
            merged[key] = {**shipped[key], **given[key]}
    return merged


def _exchange(file: str, name: str, table: dict[str, Any]) -> Exchange:
    if re.fullmatch(EXCHANGE_PATTERN, name) is None:
        raise OperatorError(
            f"exchanges file {file}: exchange {name!r} is not a valid name; it takes 1 to 64 lower-case "
            "letters, digits, '_' and '-', and starts with a letter or digit"
        )
    if "name" in table:
        raise OperatorError(
            f"exchanges file {file}: [{name}] name: unknown key; the table's header is the name"
        )
    try:
        return Exchange(name=name, **table)
    except ValidationError as error:
        raise OperatorError(f"exchanges file {file}: [{name}] {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """First problem only: the next one shows when it is mended."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} = {problem['input']!r}: unknown key"
    takes = problem.get("ctx", {}).get("pattern")
    return (
        f"{key} = {problem['input']!r}: {_patterns().get(key, problem['msg']) if takes else problem['msg']}"
    )


def _patterns() -> dict[str, str]:
    """What a key checked by a pattern takes, in words."""
    return {
        "session_start": "takes a local time HH:MM from '00:00' to '23:59'",
        "currency": "takes 2 to 12 capital letters or digits, such as 'AUD'",
    }
