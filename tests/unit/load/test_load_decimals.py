from __future__ import annotations

import re
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.load.decimals import read_decimals, read_integers

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
PLACE = Decimal("1e-8")
LIMIT = Decimal(10) ** 10


def exact(cell: str, scale: int) -> Decimal | None:
    """The value if decimal(18, 8) holds it exactly."""
    if PLAIN.fullmatch(cell) is None:
        return None
    value = Decimal(cell)
    if "." not in cell:
        value = value.scaleb(-scale)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    lost = digits[len(digits) + exponent + 8 :] if exponent < -8 else ()
    if abs(value) >= LIMIT or any(lost) or (exponent < -8 and len(digits) + exponent + 8 < 0 and any(digits)):
        return None
    return Decimal((sign, digits, exponent))


WIDE = pa.decimal128(24, 8)

NUMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "-", "+"]),
        st.text("0123456789", max_size=13),
        st.sampled_from(["", ".", "."]),
        st.text("0012345678", max_size=11),
    ),
)
GARBAGE = st.sampled_from(
    ["", "1e3", "inf", "NaN", "1,000", "0x10", "1_0", "--1", "1.2.3", "٣", "½", "1 2", ".", "-", "+.", "1-"]
)
CELLS = st.lists(st.one_of(NUMBERS, NUMBERS, GARBAGE, st.none()), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(CELLS, st.sampled_from([0, 0, 0, 9, 2]))
def test_decimals_are_those_of_the_decimal_module_or_refused(cells, scale):
    """What decimal(18, 8) holds exactly is read; everything else is refused, each row for itself."""
    read = read_decimals(pa.array(cells, pa.string()), scale)
    expected = [None if cell is None else exact(cell, scale) for cell in cells]
    assert expected == read.values.to_pylist()
    assert [i for i, cell in enumerate(cells) if cell is not None and expected[i] is None] == sorted(
        read.refused
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(NUMBERS.filter(lambda cell: exact(cell, 0) is not None), min_size=1))
def test_a_column_without_a_fault_is_read_whole(cells):
    """The fast way gives what the slow one does."""
    read = read_decimals(pa.array(cells, pa.string()), 0)
    assert ([exact(cell, 0) for cell in cells], {}) == (read.values.to_pylist(), read.refused)


@pytest.mark.parametrize(
    ("cell", "scale", "reason"),
    [
        ("1e3", 0, "'1e3' is not a decimal number"),
        ("0.123456789", 0, "'0.123456789' has more than 8 decimal places"),
        ("-12345678901", 0, "'-12345678901' has more than 10 digits before the point"),
        ("1000000001", 9, "'1000000001' has more than 8 decimal places"),
        ("99999999999000000000", 9, "'99999999999000000000' has more than 10 digits before the point"),
    ],
)
def test_a_refused_decimal_says_why(cell, scale, reason):
    """The reason names the cell and what is wrong with it."""
    assert read_decimals(pa.array([cell]), scale).refused == {0: reason}


def test_a_wider_schema_takes_more_digits():
    """Its own digits count: one more is refused, and the reason names them."""
    cells = ["1234567890123456.00000001", "12345678901234567", "0.000000001"]
    for scale in (0, 9):
        read = read_decimals(
            pa.array([f"{cell}." if scale and "." not in cell else cell for cell in cells]), scale, WIDE
        )
        assert [Decimal(cells[0]), None, None] == read.values.to_pylist()
        assert WIDE == read.values.type
        assert ["16 digits before the point", "8 decimal places"] == [
            reason.partition("more than ")[2] for reason in read.refused.values()
        ]


def test_units_of_a_billionth():
    """A cell without a point counts in them, one with a point is plain: exact either way."""
    read = read_decimals(pa.array(["3720250000000", "3720.250000000", "-10", None]), 9)
    assert read.values.to_pylist() == [Decimal("3720.25"), Decimal("3720.25"), Decimal("-0.00000001"), None]


def test_whole_numbers():
    """No sign, no point, no hexadecimal, and no more than 64 bits."""
    cells = ["0", "9223372036854775807", "9223372036854775808", "-1", "0x10", "1.0", None, "007"]
    read = read_integers(pa.array(cells))
    assert read.values.to_pylist() == [0, 2**63 - 1, None, None, None, None, None, 7]
    assert sorted(read.refused) == [2, 3, 4, 5]
    assert read.refused[4] == "'0x10' is not a whole number of up to 19 digits"
