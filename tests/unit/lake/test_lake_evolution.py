"""What a table must gain, and what it cannot become: decided from schemas alone."""

from dataclasses import replace

import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, LongType, NestedField, StringType

import schemas
from k2app.errors import OperatorError
from k2app.lake.evolution import growth
from k2app.lake.record_columns import columns_of
from k2app.lake.tables import SPECS, Name
from tests.schema_versions import evolved

FIELDS = (
    NestedField(1, "price", DecimalType(18, 8), required=True),
    NestedField(2, "symbol", StringType(), required=True),
    NestedField(3, "note", StringType()),
)

TABLE = Schema(*FIELDS)


def spec(*fields):
    return replace(SPECS[Name.TRADES], schema=Schema(*fields))


def test_nothing_is_to_do_where_nothing_differs():
    """Ids and docs do not count: an older table has others."""
    doc = NestedField(9, "note", StringType(), doc="What else.")
    assert not growth(spec(*FIELDS[:2], doc), TABLE)


def test_new_columns_and_more_digits_are_gained():
    """They are said in words."""
    wide, new = (
        NestedField(1, "price", DecimalType(24, 8), required=True),
        NestedField(4, "venue", StringType()),
    )
    found = growth(spec(wide, *FIELDS[1:], new), TABLE)
    assert ((new,), (wide,)) == (found.added, found.widened)
    assert "column venue (string), column price as decimal(24, 8)" == str(found)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            (NestedField(1, "price", DecimalType(17, 8), required=True), *FIELDS[1:]),
            r"price: .*18, 8\).*17, 8\)",
        ),
        (
            (NestedField(1, "price", DecimalType(24, 9), required=True), *FIELDS[1:]),
            r"price: .*18, 8\).*24, 9\)",
        ),
        (
            (*FIELDS[:2], NestedField(3, "note", LongType())),
            "trades, column note: it is string, .* says long",
        ),
        ((FIELDS[0], NestedField(2, "symbol", StringType()), FIELDS[2]), "column symbol: it is required"),
        (FIELDS[:2], "has the column note"),
    ],
    ids=["narrower", "other scale", "other type", "optional", "gone"],
)
def test_anything_else_is_refused(fields, reason):
    """Table, column, both types, and what to do."""
    with pytest.raises(
        OperatorError, match=f"table trades.*{reason}.*K2_LAKE_NAMESPACE".replace("trades.*trades", "trades")
    ):
        growth(spec(*fields), TABLE)


def test_columns_of_later_versions_come_last_and_are_optional():
    """The first version's fields keep their places, whatever became of them."""
    first, second = schemas.newest("trade"), evolved("trade")
    columns = columns_of({1: first, 2: second})
    assert [f["name"] for f in first["fields"]] == [c.name for c in columns.first]
    assert [("venue", "string", False)] == [(c.name, str(c.type), c.required) for c in columns.later]
    assert {"decimal(24, 8)"} == {str(c.type) for c in columns.first if "decimal" in str(c.type)}


def test_field_that_is_gone_stays_an_optional_column():
    """Older rows have it."""
    first = schemas.newest("trade")
    second = first | {"fields": [f for f in first["fields"] if f["name"] != "trade_id"]}
    columns = {c.name: c for c in columns_of({1: first, 2: second}).first}
    assert (False, True) == (columns["trade_id"].required, columns["symbol"].required)
