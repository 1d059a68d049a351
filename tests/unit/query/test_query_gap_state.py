"""The state of gaps against sets of numbers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from k2app.query.bars.vwap import divide_one
from k2app.query.gaps.gaps import fold


def event(kind, start, end, symbol):
    return {
        "event": kind,
        "exchange": "asx",
        "asset_class": "equities",
        "data_type": "trades",
        "symbol": symbol,
        "trading_date": date(2026, 1, 5),
        "epoch": 0,
        "from_sequence": start,
        "to_sequence": end,
        "timestamp_us": start,
    }


@st.composite
def histories(draw):
    """Gaps that open one after the other, and numbers of them that come, are given up or merged."""
    events, at = [], 1
    for _ in range(draw(st.integers(0, 5))):
        start = at + draw(st.integers(1, 4))
        end = start + draw(st.integers(0, 6))
        at = end + 1
        events.append(event("opened", start, end, "BHP"))
        gone = draw(st.lists(st.integers(start, end), unique=True, max_size=3))
        events += [event("filled", number, number, "BHP") for number in gone]
        if draw(st.booleans()):
            events.append(event("merged", at, at, "BHP"))
        if draw(st.integers(0, 3)) == 0:
            events.append(event("abandoned", start, end, "BHP"))
    return draw(st.permutations([*events, *({**each, "symbol": "RIO"} for each in events)]))


@given(history=histories())
def test_what_is_open_was_opened_and_not_closed(history):
    """For each symbol on its own, whatever the order of events."""
    gaps = fold(history)
    for symbol in ("BHP", "RIO"):
        mine = [each for each in history if each["symbol"] == symbol]

        def numbers(*kinds, mine=mine):
            spans = (range(e["from_sequence"], e["to_sequence"] + 1) for e in mine if e["event"] in kinds)
            return {number for span in spans for number in span}

        still = [gap for gap in gaps if gap.scope.symbol == symbol and gap.state == "open"]
        expected = numbers("opened") - numbers("filled", "abandoned")
        assert expected == {n for gap in still for n in range(gap.start, gap.end + 1)}
        assert len(expected) == sum(gap.missing for gap in still)


@given(units=st.integers(-(10**38) + 1, 10**38 - 1), volume=st.integers(1, 10**38 - 1))
def test_division_is_rounded_once_half_to_even(units, volume):
    """Against whole numbers."""
    notional = Decimal(f"{units}E-16")
    quotient, remainder = divmod(abs(units), volume)
    doubled = 2 * remainder
    rounded = quotient + (doubled > volume or (doubled == volume and quotient % 2 == 1))
    expected = Decimal(f"{rounded}E-8").copy_sign(notional)
    assert expected == divide_one(notional, Decimal(f"{volume}E-8"))


def test_without_volume_there_is_no_price():
    """Not zero, and no error."""
    assert divide_one(Decimal(0), Decimal(0)) is None
