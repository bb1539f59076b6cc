import alphadia.fdr.fdr
import numpy as np
import pandas as pd
import pytest
import torch
from alphadia.fdr.classifiers import BinaryClassifierLegacyNewBatching

from alphadia_tl.host.hooks import MAX_NEW_STARTS, classifiers_that_fail_start_again, separates

FEATURES = ["score", "noise"]


class Stuck(BinaryClassifierLegacyNewBatching):
    """alphaDIA's classifier of which the first fits end with dead units: all below a probability are alike."""

    def __init__(self, dead_fits):
        super().__init__(epochs=20, learning_rate=0.003, batch_size=100, random_state=1)
        self.dead_fits, self.fits = dead_fits, 0

    def fit(self, x, y):
        super().fit(x, y)
        self.fits += 1

    def predict_proba(self, x):
        probability = super().predict_proba(x)
        if self.fits <= self.dead_fits:
            worst = np.quantile(probability[:, 1], 0.4)
            probability[:, 1] = np.maximum(probability[:, 1], worst)
        return probability


@pytest.fixture
def candidates():
    """2,000 precursors of which half are in the sample, each with a decoy."""
    generator = np.random.default_rng(0)
    decoy = np.repeat([0, 1], 2000)
    score = generator.normal(size=4000) + 5 * (np.arange(4000) < 1000)
    columns = {
        "score": score,
        "noise": generator.normal(size=4000),
        "decoy": decoy,
        "channel": 0,
        "elution_group_idx": np.tile(np.arange(2000), 2),
        "precursor_idx": np.arange(4000),
    }
    return pd.DataFrame(columns)


def perform(classifier, candidates):
    torch.manual_seed(0)
    return alphadia.fdr.fdr.perform_fdr(
        classifier, list(FEATURES), candidates, candidates["decoy"].to_numpy() == 1, competitive=True, random_state=1
    )


def passed(scored):
    return int(((scored["qval"] < 0.01) & (scored["decoy"] == 0)).sum())


def test_alphadia_itself_finds_nothing_with_dead_units(candidates):
    scored = perform(Stuck(1), candidates)
    assert passed(scored) == 0
    assert not separates(scored)


@pytest.mark.parametrize("dead_fits", [1, MAX_NEW_STARTS])
def test_a_classifier_with_dead_units_starts_again_until_it_separates(candidates, dead_fits):
    classifier = Stuck(dead_fits)
    with classifiers_that_fail_start_again():
        scored = perform(classifier, candidates)
    assert passed(scored) > 900
    assert classifier.fits == dead_fits + 1


def test_it_is_given_up_after_some_starts(candidates):
    classifier = Stuck(99)
    with classifiers_that_fail_start_again():
        assert passed(perform(classifier, candidates)) == 0
    assert classifier.fits == 1 + MAX_NEW_STARTS


def test_a_classifier_that_separates_is_fitted_once_and_its_result_is_alphadias_own(candidates):
    own = perform(Stuck(0), candidates)
    classifier = Stuck(0)
    with classifiers_that_fail_start_again():
        pd.testing.assert_frame_equal(perform(classifier, candidates), own)
    assert classifier.fits == 1


@pytest.mark.parametrize(
    ("proba", "qval", "expected"),
    [
        pytest.param([0.1] * 500 + [0.5] * 500, [0.02] * 500 + [0.5] * 500, False, id="half_share_the_best"),
        pytest.param(
            [0.1] * 500 + [0.5] * 500, [0.08] * 500 + [0.5] * 500, False, id="half_share_the_best_with_more_decoys"
        ),
        pytest.param([0.1] * 500 + [0.5] * 500, [0.005] * 500 + [0.5] * 500, True, id="half_share_the_best_and_pass"),
        pytest.param(
            np.linspace(0.1, 0.9, 1000), [0.02] * 300 + [0.5] * 700, False, id="decoys_before_hundreds_of_targets"
        ),
        pytest.param(np.linspace(0.1, 0.9, 1000), [0.02] * 30 + [0.5] * 970, True, id="few_in_the_sample"),
        pytest.param(np.linspace(0.1, 0.9, 1000), [0.3] * 1000, True, id="nothing_in_the_sample"),
        pytest.param([], [], True, id="no_precursor"),
    ],
)
def test_a_classifier_failed_where_none_passes_though_many_nearly_do(proba, qval, expected):
    assert separates(pd.DataFrame({"proba": proba, "qval": qval, "decoy": 0})) is expected
