"""Cursors: they read back, and only for the same question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.errors import RequestError
from k2app.query.answers.page import Place, from_cursor, to_cursor
from k2app.query.rows import KEY_TYPES

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.tuples(INT64, st.none() | INT64, TEXT, TEXT, st.integers(0, 9), INT64)
PLACES = st.builds(
    Place,
    snapshots=st.dictionaries(TEXT, st.none() | INT64, max_size=2),
    tables=st.dictionaries(TEXT, TEXT, max_size=2),
    known_until_us=st.none() | st.integers(0, 2**50),
    key=KEYS,
)


@given(place=PLACES, question=st.lists(TEXT, max_size=2))
def test_a_cursor_reads_back(place, question):
    """For the same question."""
    assert place == from_cursor(to_cursor(place, question), question, KEY_TYPES)


@given(place=PLACES, question=st.lists(TEXT, max_size=2), other=st.lists(TEXT, max_size=2))
def test_another_question_does_not_take_it(place, question, other):
    """Whatever differs."""
    if question != other:
        with pytest.raises(RequestError, match="other parameters"):
            from_cursor(to_cursor(place, question), other, KEY_TYPES)


def test_a_forged_key_is_refused():
    """A digest can be computed by anybody; types are checked all the same."""
    place = Place(snapshots={}, tables={}, key=("now", 1, "", "", 0, 0))
    with pytest.raises(RequestError, match="another version"):
        from_cursor(to_cursor(place, "q"), "q", KEY_TYPES)
