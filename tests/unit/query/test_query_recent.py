"""What is remembered of queries, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2app.query.reading.plan import Recent


@given(asked=st.lists(st.integers(0, 9), max_size=60), size=st.integers(1, 30))
def test_values_used_last_are_kept_as_long_as_they_fit(asked, size):
    """By weight; the model is a list, the newest last."""
    kept, model, made = Recent(size, lambda value: value), [], []
    for key in asked:
        fresh = key not in model
        before = len(made)
        assert key == kept.get(key, lambda key=key: made.append(key) or key)
        assert fresh == (len(made) > before)
        model = [one for one in model if one != key] + [key]
        while fresh and sum(model) > size and len(model) > 1:
            model.pop(0)


def test_a_value_that_is_too_heavy_is_kept_alone():
    """It is used at once; what is asked next takes its place."""
    kept, made = Recent(10, len), []

    def get(key, length):
        return kept.get(key, lambda: made.append(key) or "x" * length)

    get("a", 3)
    get("b", 11)
    get("b", 11)
    get("a", 3)
    assert ["a", "b", "a"] == made
