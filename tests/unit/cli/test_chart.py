"""Charts of bars on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.cli.chart import candles
from k2app.query.bars.bars import SCHEMA

PRICES = ("open", "high", "low", "close")


def table(*bars, symbol="BHP"):
    """Bars a minute apart from (open, high, low, close); None: without prices."""
    start = datetime(2026, 1, 5, 23, tzinfo=UTC)
    rows = [
        {
            "timestamp": start + timedelta(minutes=n), "symbol": symbol, "exchange": "asx", "currency": "AUD",
            **dict(zip(PRICES, [None] * 4 if bar is None else map(Decimal, bar), strict=True)),
        }
        for n, bar in enumerate(bars)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_a_chart_shows_bodies_wicks_prices_and_times():
    """Rising thin, falling full, still a line; wicks to high and low; an empty place where nothing was traded."""
    bars = table((2, 5, 1, 4), (4, 4, 2, 2), None, (3, 5, 1, 3))
    expected = [
        "BHP at asx, AUD",
        "5 ┤ │  │",
        "  ┤ ┃█ │",
        "  ┤ ┃█ ─",
        "  ┤ ┃█ │",
        "1 ┤ │  │",
        "  └─┴───",
        "    05 Jan 23:00 UTC",
    ]
    assert expected == [line.rstrip() for line in candles(bars, 40, 8).plain.splitlines()]


def test_colours_say_which_way_a_bar_went():
    """Green up, red down."""
    drawn = candles(table((1, 2, 1, 2), (2, 2, 1, 1)), 40, 8)
    assert {"green", "red"} <= {str(span.style) for span in drawn.spans}


def test_without_unicode_every_character_is_ascii():
    """For terminals and logs that show nothing else."""
    assert candles(table((1, 3, 1, 2), (2, 2, 1, 1)), 40, 8, unicode=False).plain.isascii()


def test_symbols_stand_one_below_another():
    """Each with axes of its own."""
    both = pa.concat_tables([table((1, 3, 1, 2)), table((100, 300, 100, 200), symbol="RIO")])
    text = candles(both, 40, 8).plain
    assert text.index("BHP at asx") < text.index("3 ┤") < text.index("RIO at asx") < text.index("300 ┤")


@pytest.mark.parametrize(
    ("bars", "expected"), [((), "no bars"), ((None, None), "BHP at asx, AUD\nno prices")]
)
def test_nothing_to_draw_is_said(bars, expected):
    """Instead of an empty frame."""
    assert expected == candles(table(*bars), 40, 8).plain


def test_what_a_symbol_holds_cannot_steer_the_terminal():
    """Names come from data."""
    assert "\x1b" not in candles(table((1, 2, 1, 2), symbol="A\x1b[2J"), 40, 8).plain


PRICE = st.integers(-(10**17), 10**17).map(lambda units: Decimal(units).scaleb(-8))


@given(
    bars=st.lists(st.none() | st.tuples(PRICE, PRICE, PRICE, PRICE), min_size=1, max_size=200),
    width=st.integers(0, 120),
    height=st.integers(0, 40),
)
def test_a_chart_fits_its_size(bars, width, height):
    """Whatever the prices and however many bars: as many go into a column as it takes."""
    ordered = [None if bar is None else (bar[0], max(bar), min(bar), bar[3]) for bar in bars]
    lines = candles(table(*ordered), width, height).plain.splitlines()
    assert len(lines) <= max(height, 4)
    body = [line for line in lines if "┤" in line]
    margin = max((line.index("┤") for line in body), default=0)
    assert all(len(line) <= max(width, 24, margin + 4) for line in body)
