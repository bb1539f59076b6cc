import numpy as np
import pytest
import torch

from alphadia_tl.models.gate import better_energy
from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.energy import GRID, SAMPLE_ROWS, search_nce, with_nce
from alphadia_tl.tasks.ms2 import TOKENS
from alphadia_tl.tasks.tuning import TuneSettings, split_rows, tune
from tasks.made import fragments_like, make_peptides

PEPTIDES = make_peptides(250, seed=7)
SETTINGS = TrainingSettings(epochs=1)


@pytest.fixture(scope="module")
def network():
    """Random weights that take the collision energy seriously."""
    network = new_network("ms2", seed=2).model
    with torch.no_grad():
        network.meta_nn.nn.weight[:, -1] *= 60  # the last input is the collision energy
    return network


def _better(*scores):
    return better_energy(0.95, np.random.default_rng(0))(*scores)


LUMOS = [(nce, "Lumos") for nce in GRID]


def _search(network, fragments, nce=30.0, better=_better, seed=0, df=PEPTIDES, candidates=LUMOS):
    data = TaskData(df, fragments)
    return search_nce(
        get_task("ms2", nce=nce),
        network,
        data,
        TuneSettings(SETTINGS, seed=seed, precision="fp32"),
        better=better,
        candidates=candidates,
    )


@pytest.mark.parametrize("acquired", [25.0, 35.0])
def test_the_energy_of_the_spectra_is_found(network, acquired):
    found = _search(network, fragments_like(network, PEPTIDES, nce=acquired))
    assert found.chosen == acquired
    assert found.configured == 30.0
    assert found.curve[acquired] == max(found.curve.values())
    assert set(found.curve) == set(GRID)
    assert f"NCE 30.0 -> {acquired:.1f}: median spectral angle 0." in found.line


def test_the_configured_energy_is_kept_where_it_is_best(network):
    found = _search(network, fragments_like(network, PEPTIDES, nce=30.0))
    assert found.chosen == 30.0
    assert "NCE 30.0 kept" in found.line


def test_the_configured_energy_may_lie_between_the_grid(network):
    found = _search(network, fragments_like(network, PEPTIDES, nce=28.0), nce=28.0)
    assert found.chosen == 28.0
    assert set(found.curve) == {*GRID, 28.0}


def test_the_configured_energy_is_kept_unless_another_is_better_for_more_than_chance(network):
    asked = []
    fragments = fragments_like(network, PEPTIDES, nce=35.0)
    found = _search(network, fragments, better=lambda *a: asked.append(a) or False)
    assert found.chosen == 30.0
    before, after, groups, comparisons = asked[0]
    assert before.shape == after.shape == groups.shape == (found.n_rows,)
    assert np.median(after) == max(found.curve.values())
    assert comparisons == len(GRID) - 1


def test_each_score_is_of_the_peptide_that_it_is_given_for(network):
    """The comparison is made peptide by peptide: the spoilt spectrum's is the lowest score."""
    asked, fragments = [], fragments_like(network, PEPTIDES, nce=35.0)
    row = split_rows(get_task("ms2"), PEPTIDES["sequence"].to_numpy(dtype=object), TuneSettings(SETTINGS, 0))["train"][
        40
    ]
    start, stop = PEPTIDES["frag_start_idx"][row], PEPTIDES["frag_stop_idx"][row]
    fragments.iloc[start:stop] = 0.0
    fragments.iloc[start, 0] = 1.0
    _search(network, fragments, better=lambda *a: asked.append(a) or False)
    before, after, groups, _ = asked[0]
    assert groups[np.argmin(before)] == groups[np.argmin(after)] == PEPTIDES["sequence"][row]


def test_no_held_out_peptide_is_looked_at(network):
    """Spoilt spectra of all validation and test peptides change nothing at all."""
    fragments = fragments_like(network, PEPTIDES, nce=35.0)
    rows = split_rows(get_task("ms2"), PEPTIDES["sequence"].to_numpy(dtype=object), TuneSettings(SETTINGS, 5))
    spoilt = fragments.to_numpy(copy=True)
    for row in np.concatenate([rows["validation"], rows["test"]]):
        start, stop = PEPTIDES["frag_start_idx"][row], PEPTIDES["frag_stop_idx"][row]
        spoilt[start:stop] = spoilt[start:stop][::-1]
    clean, found = (
        _search(network, f, seed=5) for f in (fragments, type(fragments)(spoilt, columns=fragments.columns))
    )
    assert found == clean
    assert found.n_rows == len(rows["train"])
    assert _search(network, type(fragments)(spoilt, columns=fragments.columns), seed=6) != found


def test_the_sample_is_bounded(network):
    many = make_peptides(500, seed=8)
    assert _search(network, fragments_like(network, many), df=many).n_rows == SAMPLE_ROWS


def test_row_order_does_not_matter(network):
    fragments = fragments_like(network, PEPTIDES, nce=35.0)
    shuffled = PEPTIDES.sample(frac=1, random_state=0)
    curves = [_search(network, fragments, df=df).curve for df in (PEPTIDES, shuffled)]
    assert curves[0][35.0] == pytest.approx(curves[1][35.0], abs=0.05)
    assert max(curves[1], key=curves[1].get) == 35.0


def test_before_is_the_pretrained_model_as_the_first_library_was_predicted(network):
    data = TaskData(PEPTIDES, fragments_like(network, PEPTIDES, nce=35.0, noise=0))
    settings = TrainingSettings(epochs=1, warmup_epochs=0, max_lr=1e-7, batch_size=32)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    results = {}
    for name, nce, baseline in (
        ("configured", 30.0, None),
        ("chosen", 35.0, lambda examples: with_nce(examples, 30.0)),
    ):
        network.load_state_dict(state)
        results[name] = tune(
            get_task("ms2", nce=nce), network, data, TuneSettings(settings, precision="fp32", baseline=baseline)
        )
    network.load_state_dict(state)
    assert results["chosen"].before == pytest.approx(results["configured"].before)
    np.testing.assert_allclose(results["chosen"].scores_before, results["configured"].scores_before, atol=1e-5)
    assert results["chosen"].after["SA-median"] > results["chosen"].before["SA-median"] + 0.02


def test_an_energy_that_is_better_for_certain_but_hardly_so_is_not_worth_a_change():
    network = new_network("ms2", seed=2).model
    with torch.no_grad():
        network.meta_nn.nn.weight[:, -1] *= 0.2
    found = _search(network, fragments_like(network, PEPTIDES, nce=35.0), better=lambda *a: True)
    assert found.curve[35.0] > found.curve[30.0]
    assert found.chosen == 30.0
    assert "no other is better by 0.002" in found.line


@pytest.mark.parametrize(("acquired", "instrument"), [(35.0, "QE"), (30.0, "timsTOF"), (30.0, "Lumos")])
def test_the_instrument_of_the_spectra_is_found_together_with_the_energy(acquired, instrument, caplog):
    network = new_network("ms2", seed=2).model
    with torch.no_grad():
        network.meta_nn.nn.weight *= 20  # instrument and collision energy matter
    fragments = fragments_like(network, PEPTIDES, nce=acquired, instrument=instrument, noise=0.05)
    found = _search(network, fragments, candidates=[(nce, name) for nce in (25.0, 35.0) for name in TOKENS])
    assert (found.chosen, found.instrument) == (acquired, instrument)
    assert set(found.by_instrument) == set(TOKENS)
    assert max(found.by_instrument, key=found.by_instrument.get) == instrument
    assert set(found.curve) == {25.0, 30.0, 35.0}
    assert found.curve[acquired] == found.by_instrument[instrument]
