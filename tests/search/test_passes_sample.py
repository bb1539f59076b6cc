from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.search.passes import spread


@given(n=st.integers(1, 200), number=st.integers(1, 250))
def test_the_sample_is_spread_evenly_in_the_order_of_the_runs(n, number):
    runs = [f"run_{i}" for i in range(n)]
    chosen = spread(runs, number)
    assert len(chosen) == len(set(chosen)) == min(n, number)
    places = [runs.index(run) for run in chosen]
    assert places == sorted(places)
    if 1 < number < n:
        assert (places[0], places[-1]) == (0, n - 1)
        steps = [b - a for a, b in pairwise(places)]
        assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(("number", "expected"), [(None, "abcde"), (1, "c"), (2, "ae"), (3, "ace"), (9, "abcde")])
def test_a_few_of_five(number, expected):
    assert "".join(spread(list("abcde"), number)) == expected
