"""Snapshot sets as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2app.lake.tables import Name
from k2app.query.pins import canonical_pins, parse_pins, pins_text

SETS = st.dictionaries(
    st.sampled_from([str(name) for name in Name]), st.none() | st.integers(0, 2**63 - 1), min_size=1
)


@given(SETS)
def test_a_set_is_read_back_as_it_was_written(pins):
    """And its text is one: whatever order it was written in."""
    text = pins_text(pins)
    assert pins == parse_pins(text)
    turned = ",".join(reversed(text.replace("none", "null").split(",")))
    assert text == canonical_pins(turned)
