"""Division of notional by volume against Python's decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from k2app.query.bars.vwap import divide

EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)

NOTIONALS = st.integers(-(10**38) + 1, 10**38 - 1)

VOLUMES = st.integers(0, 9) | st.integers(0, 2**62 + 9) | st.integers(0, 10**38 - 1)

NEAR_TIES = st.builds(
    lambda price, volume, off: (price * volume + volume // 2 + off, volume),
    st.integers(-(10**18), 10**18),
    st.integers(1, 2**53 - 1) | st.integers(1, 2**62 + 9),
    st.integers(-1, 1),
)


@given(pairs=st.lists(st.tuples(NOTIONALS, VOLUMES) | NEAR_TIES, max_size=20))
@example(
    pairs=[(2_348_805_481_176_236_031, 2), (5, 10), (15, 10), (-5, 10), (-15, 10), (25, 10), (1, 0), (0, 7)]
)
def test_quotients_are_half_even_at_the_eighth_place(pairs):
    """Ties go to the even neighbour, negative ones too; nothing by nothing is null."""
    notional = [Decimal(n).scaleb(-16, EXACT) for n, _ in pairs]
    volume = [Decimal(v).scaleb(-8, EXACT) for _, v in pairs]
    expected = [
        None if v == 0 else EXACT.quantize(EXACT.divide(n, v), Decimal("1e-8"))
        for n, v in zip(notional, volume, strict=True)
    ]
    arrays = pa.array(notional, pa.decimal128(38, 16)), pa.array(volume, pa.decimal128(38, 8))
    assert expected == divide(*arrays).to_pylist()


def test_null_is_divided_into_null():
    """Whichever of the two is null; a slice is divided as it stands."""
    notional = pa.array([None, Decimal(1), None, Decimal(6)], pa.decimal128(38, 16))
    volume = pa.array([Decimal(1), None, None, Decimal(3)], pa.decimal128(38, 8))
    assert [None, None, Decimal(2)] == divide(notional.slice(1), volume.slice(1)).to_pylist()
