from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alphadia_tl.library.fragments import (
    MIN_TRUSTED_FRAGMENTS,
    block_bounds,
    block_median,
    clean_intensity,
    find,
    interference_mask,
    observable,
)

CUTOFFS = {"precursor_correlation_cutoff": 0.5, "fragment_correlation_ratio": 0.75}


def mask_of(intensity, correlation, naa, **changes):
    start, stop = block_bounds(naa)
    arrays = [np.asarray(a, dtype=np.float32) for a in (intensity, correlation)]
    return interference_mask(*arrays, start, stop, **{**CUTOFFS, **changes})


@given(st.data(), st.lists(st.integers(2, 6), min_size=1, max_size=6))
def test_masking_changes_no_value_and_equals_a_loop(data, naa):
    rows = sum(naa) - len(naa)
    values = st.sampled_from([0.0, 1.0, 5.0, 1e6, np.nan, -3.0, np.inf])
    intensity = data.draw(hnp.arrays(np.float32, (rows, 2), elements=values))
    correlation = data.draw(hnp.arrays(np.float32, (rows, 2), elements=st.floats(-1, 1, width=32) | st.just(np.nan)))
    before = intensity.copy(), correlation.copy()
    start, stop = block_bounds(naa)
    mask, use = interference_mask(intensity, correlation, start, stop, **CUTOFFS)
    np.testing.assert_array_equal(intensity, before[0])
    np.testing.assert_array_equal(correlation, before[1])
    for number, (a, b) in enumerate(zip(start, stop, strict=True)):
        i, c = intensity[a:b], correlation[a:b]
        sound = np.isfinite(i) & (i >= 0)
        rated = c[sound & (i > 0) & np.isfinite(c)]
        median = np.median(rated) if len(rated) else np.float32(0)
        expected = sound & ((i == 0) | (c > median * np.float32(0.75)))
        np.testing.assert_array_equal(mask[a:b], expected)
        assert use[number] == (median > 0.5 and (expected & (i > 0)).sum() >= MIN_TRUSTED_FRAGMENTS)


def test_fragment_that_correlates_badly_is_masked_and_absent_one_is_trusted():
    intensity = [[100.0, 900.0], [0.0, 50.0], [70.0, 20.0]]
    correlation = [[0.9, 0.1], [0.0, 0.95], [0.85, 0.92]]
    mask, use = mask_of(intensity, correlation, [4])
    assert mask.tolist() == [[True, False], [True, True], [True, True]]
    assert use.tolist() == [True]


@pytest.mark.parametrize(
    ("correlation", "cutoff", "used"),
    [(0.6, 0.5, True), (0.5, 0.5, False), (0.4, 0.5, False), (0.4, 0.3, True), (-0.2, -1.0, False)],
)
def test_precursor_is_used_above_the_cutoff(correlation, cutoff, used):
    arrays = np.full((3, 2), 10.0), np.full((3, 2), correlation)
    _, use = mask_of(*arrays, [4], precursor_correlation_cutoff=cutoff, fragment_correlation_ratio=0.75)
    assert use.tolist() == [used]


def test_precursor_without_signal_is_not_used():
    _, use = mask_of(np.zeros((3, 2)), np.zeros((3, 2)), [4], precursor_correlation_cutoff=-1.0)
    assert use.tolist() == [False]


@pytest.mark.parametrize(("signals", "used"), [(1, False), (2, False), (3, True)])
def test_precursor_needs_three_trusted_fragments_where_stock_takes_one(signals, used):
    accumulator = pytest.importorskip("alphadia.outputtransform.outputaccumulator")
    from alphabase.spectral_library.base import SpecLibBase

    intensity, correlation = np.zeros((2, 4, 2), dtype=np.float32)
    intensity.flat[:signals], correlation.flat[:signals] = 100, 0.9
    intensity.flat[-1], correlation.flat[-1] = 500, 0.1  # interference counts for nothing
    mask, use = mask_of(intensity, correlation, [5], precursor_correlation_cutoff=0.4)
    assert not mask.flat[-1]
    assert use.tolist() == [used]
    stock = SpecLibBase()
    stock._precursor_df = pd.DataFrame({"frag_start_idx": [0], "frag_stop_idx": [4]})
    stock._fragment_intensity_df, stock._fragment_correlation_df = pd.DataFrame(intensity), pd.DataFrame(correlation)
    stock = accumulator.ms2_quality_control(stock, precursor_correlation_cutoff=0.4)
    assert stock.precursor_df["use_for_ms2"].tolist() == [True]


def test_stock_turns_the_masked_ones_into_zeros():
    """The difference to alphaDIA's ms2_quality_control, on its own output: same values used, other values unknown."""
    accumulator = pytest.importorskip("alphadia.outputtransform.outputaccumulator")
    from alphabase.spectral_library.base import SpecLibBase

    rng = np.random.default_rng(5)
    naa = rng.integers(5, 12, 50)
    start, stop = block_bounds(naa)
    intensity = rng.lognormal(3, 1, (stop[-1], 4)).astype(np.float32)
    intensity[rng.random(intensity.shape) < 0.3] = 0
    correlation = np.where(intensity > 0, rng.uniform(0, 1, intensity.shape), 0).astype(np.float32)
    stock = SpecLibBase()
    stock._precursor_df = pd.DataFrame({"frag_start_idx": start, "frag_stop_idx": stop})
    stock._fragment_intensity_df = pd.DataFrame(intensity.copy())
    stock._fragment_correlation_df = pd.DataFrame(correlation)
    stock = accumulator.ms2_quality_control(stock)
    mask, use = interference_mask(intensity, correlation, start, stop, **CUTOFFS)
    theirs = stock.fragment_intensity_df.to_numpy()
    np.testing.assert_array_equal(np.where(mask, intensity, 0), theirs)
    np.testing.assert_array_equal(use, stock.precursor_df["use_for_ms2"])
    assert ((theirs == 0) & ~mask).sum() == (~mask).sum() > 0
    assert (intensity[~mask] > 0).all()


def test_unsound_intensities_become_untrusted_zeros():
    cleaned, sound = clean_intensity(np.array([[1.0, np.nan], [-2.0, np.inf], [0.0, 3.0]], dtype=np.float32))
    assert cleaned.tolist() == [[1, 0], [0, 0], [0, 3]]
    assert sound.tolist() == [[True, False], [False, False], [True, True]]


def test_zero_is_no_evidence_outside_the_mz_range():
    intensity = np.array([[0, 0, 5, 0]], dtype=np.float32)
    mz = np.array([[150, 500, 150, 0]], dtype=np.float32)
    limits = np.array([200], dtype=np.float32), np.array([1800], dtype=np.float32)
    assert observable(intensity, mz, *limits).tolist() == [[False, True, True, True]]


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-1, 1, width=32)), max_size=40))
def test_block_median_equals_numpy(pairs):
    owner = np.array([o for o, _ in pairs], dtype=np.int64)
    values = np.array([v for _, v in pairs], dtype=np.float32)
    median = block_median(values, owner, 5)
    for number in range(5):
        expected = np.median(values[owner == number]) if (owner == number).any() else 0
        assert median[number] == np.float32(expected)


@given(st.lists(st.integers(0, 60), max_size=60), st.lists(st.integers(0, 60), unique=True, max_size=50))
def test_values_are_found_where_they_are(values, among):
    expected = [among.index(v) if v in among else -1 for v in values]
    values, among = np.array(values, dtype=np.int64), np.array(among, dtype=np.int64)
    assert find(values, among).tolist() == expected
