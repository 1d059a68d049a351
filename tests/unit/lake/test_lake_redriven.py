"""Names of dead letters in the ledger: read back exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.lake.redriven import Coordinates, named, places_of

PLACES = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 2**40) | st.integers(0, 20)), min_size=1)


@given(PLACES)
def test_a_name_gives_its_letters_back(places):
    """Whatever the offsets; in order, each once."""
    letters = [Coordinates("log", "market.equities.trades.asx", *place) for place in places]
    assert sorted(letters) == list(places_of(named([*letters, letters[0]])))


def test_runs_are_written_short():
    """As the module says."""
    letters = [Coordinates("L", "T", *place) for place in ((0, 5), (0, 7), (2, 3), (0, 6), (0, 9))]
    assert "dead letters L T 0:5-7,9 2:3" == named(letters)


def test_letters_of_two_topics_have_no_name():
    """Nor has a file, read backwards."""
    with pytest.raises(ValueError, match="of one topic of one log"):
        named([Coordinates("L", "T", 0, 1), Coordinates("L", "U", 0, 1)])
    with pytest.raises(ValueError, match="does not name dead letters"):
        list(places_of("trades.csv"))
