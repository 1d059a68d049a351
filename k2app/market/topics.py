"""Topic and subject names: built and parsed here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from k2app.errors import OperatorError

PREFIX = "market"
"""First part of every topic and subject of K2."""

EXCHANGE_PATTERN = r"[a-z0-9][a-z0-9_-]{0,63}"
"""Exchange names: no dot (it separates the parts of a topic), and far below Kafka's 249 characters."""


E = TypeVar("E", bound=StrEnum)


class AssetClass(StrEnum):
    """What is traded; the symbols of the Avro enum `AssetClass`."""

    EQUITIES = "equities"
    CRYPTO = "crypto"
    FUTURES = "futures"
    OPTIONS = "options"


class DataType(StrEnum):
    """What a topic carries."""

    TRADES = "trades"
    QUOTES = "quotes"
    REFERENCE_DATA = "reference_data"

    @property
    def record(self) -> str:
        """Base name of the Avro record and of its schema files: `trade` of `trade.v1.avsc`."""
        return self.value.removesuffix("s")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic in its parts.

    Parameters
    ----------
    asset_class
        Anything `AssetClass` takes.
    data_type
        Anything `DataType` takes.
    exchange
        Exchange name as configured: lower-case letters, digits, `_` and `-`.

    Raises
    ------
    OperatorError
        A part is not valid; names it and what is.
    """

    asset_class: AssetClass
    data_type: DataType
    exchange: str

    def __post_init__(self) -> None:
        where = f"topic {PREFIX}.{self.asset_class}.{self.data_type}.{self.exchange}"
        object.__setattr__(self, "asset_class", _member(AssetClass, "asset class", self.asset_class, where))
        object.__setattr__(self, "data_type", _member(DataType, "data type", self.data_type, where))
        if re.fullmatch(EXCHANGE_PATTERN, self.exchange) is None:
            raise OperatorError(
                f"{where}: exchange {self.exchange!r} is not valid; it takes 1 to 64 lower-case letters, "
                "digits, '_' and '-', and starts with a letter or digit"
            )

    @property
    def name(self) -> str:
        """The topic's name on the log: `market.equities.trades.asx`."""
        return f"{PREFIX}.{self.asset_class}.{self.data_type}.{self.exchange}"

    @property
    def subject(self) -> str:
        """Subject of its values in the schema registry; all exchanges of an asset class share it."""
        return subject(self.asset_class, self.data_type)


def parse(name: str) -> Topic:
    """Split a topic's name into its parts.

    Raises
    ------
    OperatorError
        Not a topic of K2; names the part that is wrong and what is valid.
    """
    parts = name.split(".")
    if len(parts) != len(("market", "asset_class", "data_type", "exchange")) or parts[0] != PREFIX:
        raise OperatorError(
            f"topic {name}: not a K2 topic; names are {PREFIX}.<asset class>.<data type>.<exchange>, "
            f"for example {PREFIX}.equities.trades.asx"
        )
    return Topic(
        _member(AssetClass, "asset class", parts[1], f"topic {name}"),
        _member(DataType, "data type", parts[2], f"topic {name}"),
        parts[3],
    )


def subject(asset_class: AssetClass | str, data_type: DataType | str) -> str:
    """Subject of a topic's values: `market.equities.trades-value`.

    Raises
    ------
    OperatorError
        A part is not valid; names it and what is.
    """
    where = f"subject {PREFIX}.{asset_class}.{data_type}-value"
    asset_class = _member(AssetClass, "asset class", asset_class, where)
    return f"{PREFIX}.{asset_class}.{_member(DataType, 'data type', data_type, where)}-value"


def _member(kind: type[E], part: str, value: str, where: str) -> E:
    try:
        return kind(value)
    except ValueError as error:
        raise OperatorError(
            f"{where}: {part} {value!r} is not valid; it takes one of {', '.join(kind)}"
        ) from error
