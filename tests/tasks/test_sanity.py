"""Safeguards before training, with measured spectra where they are there, else with what a network itself predicts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.errors import BaselineError, DataError
from alphadia_tl.models.weights import build_model, find_weights, new_network
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task, sanity
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.metrics import spectral_similarity
from alphadia_tl.tasks.predict import predict
from alphadia_tl.tasks.sanity import check_pretrained
from alphadia_tl.tasks.tuning import TuneSettings, split_rows, tune
from tasks.made import fragments_like, make_peptides

SHARED = Path(__file__).parents[3] / "shared" / "data"
TYPES = ["b_z1", "b_z2", "y_z1", "y_z2"]
NAMES = ("rt", "charge", "ms2", "ccs")
N = 400
ONE_EPOCH = TrainingSettings(epochs=1, batch_size=32)


class Start:
    """Weights, and spectra that they explain."""

    def __init__(self, network, precursors, fragments, faint=0.12):
        self.network, self.precursors, self.fragments = network, precursors, fragments
        self.faint = faint  # so much of them, and noise, correlates by less than 0.1
        supported = network.supported_charged_frag_types
        self.task = get_task("ms2", charged_frag_types=TYPES, supported=supported)

    def check(self, precursors=None, fragments=None):
        data = TaskData(
            self.precursors if precursors is None else precursors, self.fragments if fragments is None else fragments
        )
        prepared = self.task.prepare(data)
        check_pretrained(self.task, self.network, prepared.examples, prepared.sequences, loss=0.1)


def _measured():
    folder = SHARED / "ms2"
    df = pd.read_parquet(folder / "deepphospho_RPE1_DIA.precursor.parquet").sample(N, random_state=1)
    fragments = pd.read_parquet(folder / "deepphospho_RPE1_DIA.fragment.parquet")[TYPES]
    weights = find_weights("ms2", {"ms2": SHARED / "models" / "ms2_base.pth"}, "generic")
    rows = [np.arange(a, b) for a, b in zip(df["frag_start_idx"], df["frag_stop_idx"], strict=True)]
    stop = np.cumsum([len(r) for r in rows])
    df = df.drop(columns=["nce", "instrument"]).reset_index(drop=True)
    df["frag_stop_idx"], df["frag_start_idx"] = stop, stop - df["nAA"].to_numpy() + 1
    return Start(
        build_model(weights, "cpu").model, df, fragments.iloc[np.concatenate(rows)].reset_index(drop=True), 0.2
    )


def _own():
    network, df = new_network("ms2", seed=1).model, make_peptides(N, seed=5)
    return Start(network, df, fragments_like(network, df))


@pytest.fixture(scope="module", params=["own", "measured"])
def start(request):
    if request.param == "measured" and not SHARED.is_dir():
        pytest.skip(f"needs the measured spectra in {SHARED}")
    return _own() if request.param == "own" else _measured()


def _rearranged(start, rows):
    spans = zip(start.precursors["frag_start_idx"], start.precursors["frag_stop_idx"], strict=True)
    return start.fragments.iloc[np.concatenate([rows(np.arange(a, b)) for a, b in spans])].reset_index(drop=True)


def test_spectra_that_belong_to_the_weights_pass(start):
    start.check()


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_fragment_rows_are_found(start, seed):
    rng = np.random.default_rng(seed)
    with pytest.raises(BaselineError, match=r"median PCC .* precursors before any training"):
        start.check(fragments=_rearranged(start, rng.permutation))


def test_reversed_fragment_rows_are_found_and_named(start):
    with pytest.raises(BaselineError, match="reverse order"):
        start.check(fragments=_rearranged(start, lambda rows: rows[::-1]))


@pytest.mark.parametrize(("by", "words"), [(1, "moved down by one"), (-1, "moved up by one")])
def test_fragment_rows_off_by_one_are_found_and_named(start, by, words):
    with pytest.raises(BaselineError, match=words):
        start.check(fragments=pd.DataFrame(np.roll(start.fragments, by, axis=0), columns=TYPES))


def test_exchanged_b_and_y_columns_are_found_and_named(start):
    exchanged = start.fragments[["y_z1", "y_z2", "b_z1", "b_z2"]].set_axis(TYPES, axis=1)
    with pytest.raises(BaselineError, match="N- and C-terminal fragments exchanged"):
        start.check(fragments=exchanged)


def test_spectra_of_other_peptides_are_found(start):
    df, rng = start.precursors.copy(), np.random.default_rng(0)
    for rows in df.groupby("nAA").indices.values():
        where = ["frag_start_idx", "frag_stop_idx"]
        df.loc[rows, where] = df.loc[rng.permutation(rows), where].to_numpy()
    with pytest.raises(BaselineError, match="median PCC"):
        start.check(precursors=df)


@pytest.fixture(scope="module")
def far():
    """Weights that were trained for other spectra: what they predict is half right, and half that one row further."""
    start = _own()
    rng = np.random.default_rng(7)
    own = start.fragments.to_numpy()
    moved = np.zeros_like(own)
    for a, b in zip(start.precursors["frag_start_idx"], start.precursors["frag_stop_idx"], strict=True):
        moved[a:b] = np.roll(own[a:b], 1, axis=0)
    mixed = 0.515 * own + 0.485 * moved + rng.exponential(own.mean(), own.shape)
    return Start(start.network, start.precursors, pd.DataFrame(mixed, columns=TYPES))


def test_weights_that_fit_one_wrong_order_nearly_as_well_pass(far):
    """So does a model of tryptic peptides with spectra of Glu-C ones, which need tuning most."""
    predicted = predict(far.task, far.network, far.precursors, "fp32")
    target, counts = far.fragments.to_numpy(), far.precursors["nAA"].to_numpy() - 1
    moved = np.concatenate([np.roll(spectrum, 1, axis=0) for spectrum in np.split(predicted, counts.cumsum()[:-1])])
    as_is, wrong = (spectral_similarity(v, target, target >= 0, counts)["PCC"] for v in (predicted, moved))
    gain = as_is - wrong
    assert gain.mean() < sanity.MIN_Z * gain.std(ddof=1) / np.sqrt(len(gain))  # this order alone does not tell
    far.check()


def test_weights_that_are_far_off_do_not_hide_rows_in_another_order(far):
    with pytest.raises(BaselineError, match="moved down by one"):
        far.check(fragments=_rearranged(far, lambda rows: np.roll(rows, 1)))
    with pytest.raises(BaselineError, match="median PCC"):
        far.check(fragments=_rearranged(far, np.random.default_rng(1).permutation))


def test_noise_is_refused_by_its_correlation_alone(start):
    """Although what little it has of the spectra is theirs beyond doubt."""
    own = start.fragments.to_numpy()
    own = own / own.std()
    noise = np.random.default_rng(0).standard_normal(own.shape) ** 2
    fragments = pd.DataFrame(start.faint * own + noise, columns=TYPES)
    with pytest.raises(BaselineError, match=r"does not explain the measured spectra.*0\.1 needed"):
        start.check(fragments=fragments)


def test_copies_of_one_peptide_pass(start):
    """There is no other peptide to compare with."""
    df = start.precursors.iloc[np.zeros(50, dtype=int)].reset_index(drop=True)
    start.check(precursors=df)


def _tune(name, network, df):
    data = TaskData(df, fragments_like(new_network("ms2", seed=1).model, df) if name == "ms2" else None)
    return tune(get_task(name), network, data, TuneSettings(ONE_EPOCH, precision="fp32"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("value", "words"), [(0.0, "all zero|the same for all"), (float("nan"), "not all finite")])
def test_weights_that_predict_nothing_stop_the_tuning_before_the_first_epoch(name, value, words, caplog):
    network = new_network(name, seed=1).model
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    with caplog.at_level("INFO"), pytest.raises(BaselineError, match=words) as caught:
        _tune(name, network, make_peptides(120, seed=3))
    assert isinstance(caught.value, DataError)
    assert "pretrained" in str(caught.value)
    assert "weights are unusable" in str(caught.value)
    assert "tested on validation dataset" in caplog.text
    assert "Epoch" not in caplog.text


def test_a_loss_that_is_not_finite_in_any_row_is_found():
    start = _own()
    prepared = start.task.prepare(TaskData(start.precursors, start.fragments))
    with pytest.raises(BaselineError, match="loss that is not finite"):
        check_pretrained(start.task, start.network, prepared.examples, prepared.sequences, loss=float("nan"))


def test_tuning_checks_the_validation_rows_of_ms2():
    start = _own()
    data = TaskData(start.precursors, start.fragments[["y_z1", "y_z2", "b_z1", "b_z2"]].set_axis(TYPES, axis=1))
    with pytest.raises(BaselineError):
        tune(start.task, start.network, data, TuneSettings(ONE_EPOCH, precision="fp32"))


def test_training_rows_make_up_for_few_validation_rows():
    """A model that is far off, and tells b from y but little: sixty spectra are too few to see that."""
    start = _own()
    own, exchanged = start.fragments.to_numpy(), start.fragments[["y_z1", "y_z2", "b_z1", "b_z2"]].to_numpy()
    noise = np.random.default_rng(7).exponential(own.mean(), own.shape)
    data = TaskData(start.precursors, pd.DataFrame(0.53 * own + 0.47 * exchanged + noise, columns=TYPES))
    settings = TuneSettings(ONE_EPOCH, precision="fp32")
    prepared = start.task.prepare(data)
    validation = split_rows(start.task, prepared.sequences, settings)["validation"]
    assert len(validation) < sanity.ENOUGH_ROWS
    few, sequences = prepared.examples.select(torch.from_numpy(validation)), prepared.sequences[validation]
    with pytest.raises(BaselineError):
        check_pretrained(start.task, start.network, few, sequences, loss=0.1)
    tune(start.task, start.network, data, settings)


@given(st.integers(0, 600), st.integers(0, 2000))
def test_no_row_is_checked_twice_and_validation_rows_come_first(n_validation, n_training):
    validation, training = np.arange(n_validation), np.arange(n_validation, n_validation + n_training)
    rows = sanity.rows_to_check(validation, training)
    assert rows[:n_validation].tolist() == validation.tolist()
    assert len(sanity.rows_to_check(np.arange(5000), training)) == sanity.SAMPLE_ROWS
    assert len(set(rows)) == len(rows) == max(n_validation, min(sanity.ENOUGH_ROWS, n_validation + n_training))
    assert set(rows) <= {*validation, *training}


def test_further_turns_of_the_same_data_are_not_judged_again():
    start = _own()
    data = TaskData(start.precursors, start.fragments[["y_z1", "y_z2", "b_z1", "b_z2"]].set_axis(TYPES, axis=1))
    tune(start.task, start.network, data, TuneSettings(ONE_EPOCH, precision="fp32"), fold=1)
