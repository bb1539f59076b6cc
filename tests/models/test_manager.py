import copy

import numpy as np
import pandas as pd
import pytest
import torch
from peptdeep.model.charge import ChargeModelForModAASeq
from peptdeep.model.rt import AlphaRTModel
from peptdeep.settings import global_settings
from tasks.made import MANY_HELD_OUT, fragments_like, make_peptides

from alphadia_tl.errors import DataError, OutputError, PredictionError, SettingsError, WeightsError
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.prediction import PredictedChunks
from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import repeated_tuning
from alphadia_tl.tasks.charge import observable_states
from alphadia_tl.tasks.ms2 import TOKENS
from alphadia_tl.training.side_by_side import run_side_by_side

NAMES = ("rt", "ms2", "charge", "ccs")
PEPTIDES = make_peptides(120, seed=2)
FRAGMENTS = fragments_like(new_network("ms2", seed=3).model, PEPTIDES)
BARE = PEPTIDES.drop(columns=["frag_start_idx", "frag_stop_idx", "nAA", "rt_norm", "ccs"])
SHORT = {"epochs": 1, "batch_size": 32, **MANY_HELD_OUT}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    for name in NAMES:
        network = new_network(name, seed=3).model
        with torch.no_grad():  # so that random weights predict positive, different values
            for key, bias in (("rt", "rt_decoder.nn.2.bias"), ("ccs", "ccs_decoder.nn.2.bias")):
                if name == key:
                    network.get_parameter(bias).fill_(0.5)
        torch.save(network.state_dict(), path / f"{name}.pth")
    return path


@pytest.fixture
def manager(folder):
    return FinetuneManager("cpu", SHORT, models=folder, precision="fp32")


def stock(interface, df):
    """Predict with peptdeep as it wants it: sorted by length, and back."""
    ordered = df.assign(nAA=df["sequence"].str.len()).reset_index(drop=True).reset_index(names="row")
    ordered = ordered.sort_values("nAA", kind="stable").reset_index(drop=True)
    return interface.predict(ordered).sort_values("row").reset_index(drop=True)


def test_masked_fragments_are_not_learnt_from(manager, folder):
    mask = pd.DataFrame(np.random.default_rng(0).random(FRAGMENTS.shape) < 0.8, columns=FRAGMENTS.columns)
    other = FinetuneManager("cpu", SHORT, models=folder, precision="fp32")
    manager.finetune_ms2(PEPTIDES, FRAGMENTS, mask)
    other.finetune_ms2(PEPTIDES, FRAGMENTS.where(mask, 1e6), mask)
    tuned, again = (m.ms2_model.model.state_dict() for m in (manager, other))
    assert all(torch.equal(again[name], value) for name, value in tuned.items())


def test_charge_states_that_could_not_be_observed_are_not_learnt_as_absent(manager):
    windows = [(400.0, 900.0)]
    manager.finetune_charge(PEPTIDES, precursor_mz=windows, precursor_charge=(2, 3))
    rows = manager.results["charge"].held_out.rows
    forms = PEPTIDES.drop_duplicates(["sequence", "mods", "mod_sites"])
    observable = observable_states(forms, (2, 3), windows).astype(bool)
    observable[np.arange(len(forms)), forms["charge"] - 1] = True  # what was found could be
    expected = {
        (s, int(z) + 1) for s, row in zip(forms["sequence"], observable, strict=True) for z in np.flatnonzero(row)
    }
    held_out = set(rows["sequence"])
    assert set(zip(rows["sequence"], rows["charge"], strict=True)) == {e for e in expected if e[0] in held_out}


ORDERS = {
    "as made": lambda df: df,
    "by length": lambda df: df.iloc[np.argsort(df["sequence"].str.len(), kind="stable")],
    "shuffled with its index": lambda df: df.sample(frac=1, random_state=1),
    "shuffled with a new index": lambda df: df.sample(frac=1, random_state=1).reset_index(drop=True),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_scalar_predictions_equal_peptdeep_in_any_row_order(manager, order):
    df = order(BARE).copy()
    before = df.copy()
    expected = {
        "rt": stock(manager.rt_model, df)["rt_pred"],
        "ccs": stock(manager.ccs_model, df)["ccs_pred"],
        "charge": np.stack(stock(manager.charge_model, df)["charge_probs"]),
    }
    got = {
        "rt": manager.predict_rt_array(df),
        "ccs": manager.predict_ccs_array(df),
        "charge": manager.predict_charge_probabilities(df),
    }
    for name, values in got.items():
        np.testing.assert_allclose(values, np.maximum(expected[name], 0), atol=1e-5)
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_spectra_equal_peptdeep_in_any_row_order(manager, order):
    df = order(BARE).copy()
    ordered = df.assign(nAA=df["sequence"].str.len(), nce=30.0, instrument="Lumos")
    ordered = ordered.sort_values("nAA", kind="stable").reset_index(drop=True)
    expected = manager.ms2_model.predict(ordered).to_numpy()
    spans = dict(zip(ordered.index, zip(ordered["frag_start_idx"], ordered["frag_stop_idx"], strict=True), strict=True))
    by_sequence = {s: expected[slice(*spans[i])] for i, s in enumerate(ordered["sequence"])}
    want = np.concatenate([by_sequence[s] for s in df["sequence"]])
    np.testing.assert_allclose(manager.predict_ms2_array(df), want, atol=2e-4)


def test_predicted_spectra_are_relative_to_their_highest_fragment(manager):
    values = manager.predict_ms2_array(BARE)
    counts = BARE["sequence"].str.len().to_numpy() - 1
    assert values.shape == (counts.sum(), 4)
    assert np.maximum.reduceat(values.max(axis=1), np.cumsum(counts) - counts) == pytest.approx(np.ones(len(BARE)))
    assert not ((values > 0) & (values < 1e-4)).any()


def test_predict_rt_adds_columns_and_keeps_the_rows(manager):
    df = BARE.sample(frac=1, random_state=0)
    got = manager.predict_rt(df)
    assert got is df
    np.testing.assert_array_equal(got["rt_pred"], manager.predict_rt_array(BARE.loc[df.index]))
    np.testing.assert_array_equal(got["rt_pred"], got["rt_norm_pred"])


def test_predict_mobility_adds_ccs_and_mobility(manager):
    df = BARE.sample(frac=1, random_state=0)
    got = manager.predict_mobility(df)
    np.testing.assert_array_equal(got["ccs_pred"], manager.predict_ccs_array(df))
    one = manager.predict_mobility(df.iloc[[5]].copy())
    assert got["mobility_pred"].iloc[5] == pytest.approx(one["mobility_pred"].iloc[0], rel=1e-4)


@pytest.mark.parametrize("cutoff", [0.0, 0.4, None])
def test_predict_charge_gives_a_row_per_probable_charge(manager, cutoff):
    got = manager.predict_charge(BARE, 2, 4, cutoff)
    p = manager.predict_charge_probabilities(BARE)[:, 1:4]
    limit = manager.charge_prob_cutoff if cutoff is None else cutoff
    assert len(got) == (p > limit).sum()
    assert set(got["charge"]) <= {2, 3, 4}
    assert got["charge_prob"].tolist() == p[p > limit].tolist()


def test_predict_ms2_with_reference_fills_the_rows_that_are_pointed_at(manager):
    rows = PEPTIDES.sample(30, random_state=0)
    values = manager.predict_ms2(rows.copy(), reference_frag_df=FRAGMENTS).to_numpy()
    assert values.shape == FRAGMENTS.shape
    spans = [slice(a, b) for a, b in zip(rows["frag_start_idx"], rows["frag_stop_idx"], strict=True)]
    np.testing.assert_array_equal(np.concatenate([values[s] for s in spans]), manager.predict_ms2_array(rows))


@pytest.mark.parametrize("items", [["rt"], ["ms2"], ["rt", "mobility", "ms2"]])
def test_predict_all_behaves_as_model_manager(manager, items):
    df = BARE.copy()
    got = manager.predict_all(df, predict_items=items, process_num=4)
    precursors = got["precursor_df"]
    assert precursors["nAA"].is_monotonic_increasing
    assert ("rt_norm_pred" in precursors) == ("rt" in items)
    assert ("mobility_pred" in precursors) == ("mobility" in items)
    assert ("fragment_intensity_df" in got) == ("fragment_mz_df" in got) == ("ms2" in items)
    if "ms2" in items:
        values = got["fragment_intensity_df"]
        assert list(values.columns) == manager.charged_frag_types
        np.testing.assert_array_equal(values.to_numpy(), manager.predict_ms2_array(precursors))
        np.testing.assert_array_equal(values.index, got["fragment_mz_df"].index)
        assert set(precursors["instrument"]) == {"Lumos"}


def test_energy_and_instrument_of_the_manager_or_of_the_rows_reach_the_model(manager):
    base = manager.predict_ms2_array(BARE)
    manager.nce, manager.instrument = 15, "timsTOF"
    other = manager.predict_ms2_array(BARE)
    assert not np.allclose(base, other, atol=1e-4)
    rows = BARE.assign(nce=30.0, instrument="Lumos")
    np.testing.assert_array_equal(manager.predict_ms2_array(rows), base)


def test_unknown_instrument_is_said(manager, caplog):
    manager.instrument = "Quantum9000"
    assert manager.instrument == "Lumos"
    assert "Quantum9000" in caplog.text


def test_empty_table_gives_empty_predictions(manager):
    empty = BARE.iloc[:0]
    assert len(manager.predict_rt_array(empty)) == 0
    assert len(manager.predict_ms2_array(empty)) == 0


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_unusable_weights_never_give_zeros_in_silence(manager, value):
    for name, predict in {
        "rt": manager.predict_rt_array,
        "ms2": manager.predict_ms2_array,
        "charge": manager.predict_charge_probabilities,
    }.items():
        with torch.no_grad():
            for parameter in manager.interface(name).model.parameters():
                parameter.fill_(value)
        with pytest.raises(PredictionError):
            predict(BARE)


@pytest.mark.parametrize("source", ["folder", "mapping"])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_alone_is_enough_and_the_others_are_missed_where_they_are_used(folder, tmp_path, source, name):
    file = tmp_path / f"{name}.pth"
    file.write_bytes((folder / file.name).read_bytes())
    manager = FinetuneManager("cpu", SHORT, models=tmp_path if source == "folder" else {name: file})
    predict = {
        "rt": manager.predict_rt_array,
        "ms2": manager.predict_ms2_array,
        "ccs": manager.predict_ccs_array,
        "charge": manager.predict_charge_probabilities,
    }
    assert len(predict.pop(name)(BARE)) > 0
    for other, call in predict.items():
        where = str(tmp_path / f"{other}.pth") if source == "folder" else f"Given: {name}."
        for use in (lambda call=call: call(BARE), lambda other=other: FINETUNE[other](manager)):
            with pytest.raises(WeightsError, match=rf"\b{other}\b") as caught:
                use()
            assert where in str(caught.value)
    manager.save_models(tmp_path / "saved")
    assert [p.name for p in (tmp_path / "saved").iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (lambda p: {"RT": p / "rt.pth"}, "Unknown model 'RT'. Known: rt, ms2, charge, ccs"),
        (lambda p: {"rt": p / "no.pth"}, "no.pth"),
        (lambda p: {}, "No weight file was given for the rt model"),
        (lambda p: p / "empty", "rt.pth"),
        (lambda p: p / "damaged", "ccs.pth of the ccs model cannot be read as PyTorch weights"),
    ],
)
def test_no_weights_or_damaged_ones_are_named_at_once(folder, tmp_path, models, message):
    for name in ("empty", "damaged"):
        (tmp_path / name).mkdir()
    (tmp_path / "damaged" / "rt.pth").write_bytes((folder / "rt.pth").read_bytes())
    (tmp_path / "damaged" / "ccs.pth").write_bytes(b"PK damaged")
    with pytest.raises(WeightsError) as caught:
        FinetuneManager("cpu", models=models(tmp_path))
    assert message in str(caught.value)


def test_missing_zip_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("something was downloaded"))
    with pytest.raises(WeightsError, match="not installed"):
        FinetuneManager("cpu")


@pytest.mark.parametrize("settings", [None, {"epochs": 3}, TrainingSettings(epochs=3)])
def test_settings_may_be_a_mapping(folder, settings):
    assert FinetuneManager("cpu", settings, models=folder).settings.epochs == (None if settings is None else 3)


def test_unknown_settings_are_refused(folder):
    with pytest.raises(SettingsError, match="epoch_number"):
        FinetuneManager("cpu", {"epoch_number": 3}, models=folder)


FINETUNE = {
    "rt": lambda m: m.finetune_rt(PEPTIDES),
    "ccs": lambda m: m.finetune_ccs(PEPTIDES),
    "charge": lambda m: m.finetune_charge(psm_df=PEPTIDES, precursor_charge=(1, 6), precursor_mz=(300, 1800)),
    "ms2": lambda m: m.finetune_ms2(psm_df=PEPTIDES, matched_intensity_df=FRAGMENTS),
}


def test_an_instrument_that_is_searched_for_is_used_and_put_back_with_the_weights(folder):
    manager = FinetuneManager("cpu", SHORT, models=folder, precision="fp32", instrument="auto", nce=27.5)
    assert (manager.instrument, manager.instrument_warning) == ("Lumos", "")
    scored = []

    def better(before, after, groups, comparisons):
        scored.append(comparisons)
        return True

    manager.finetune_ms2(PEPTIDES, FRAGMENTS, better=better)
    found = manager.nce_search
    assert (manager.nce, manager.instrument) == (27.5, found.instrument)
    assert set(found.curve) == {27.5}
    assert set(found.by_instrument) == set(TOKENS)
    assert scored in ([], [len(TOKENS) - 1])
    manager.use_nce(20.0, "QE")
    manager.restore_pretrained("ms2")
    assert (manager.nce, manager.instrument) == (27.5, "Lumos")


@pytest.mark.parametrize(("name", "token"), [("Exploris480", "QE"), ("ASTRAL", "Lumos"), ("eclipse", "Lumos")])
def test_what_stands_for_an_instrument_is_said(manager, caplog, name, token):
    with caplog.at_level("INFO"):
        manager.instrument = name
    assert manager.instrument == token
    assert f"Instrument {name}: the MS2 model is asked for {token}" in caplog.text


def test_rows_that_cannot_be_learnt_are_told_and_left_out(manager, caplog):
    df = PEPTIDES.copy()
    df.loc[[5, 8], "rt_norm"] = np.nan
    manager.finetune_rt(df)
    assert manager.results["rt"].n_rows["test"] == len(df) - 2  # over all turns
    assert "2 of 120 rows for the RT model cannot be learnt: rt_norm that is no number: 2" in caplog.text


def test_rows_of_an_instrument_are_predicted_for_its_group(manager, caplog):
    """PeptDeep itself looks up the name in a column as it is, and has no token of that name."""
    values = {n: manager.predict_ms2_array(BARE.assign(nce=30.0, instrument=n)) for n in ("QE", "Exploris", "Nix")}
    np.testing.assert_array_equal(values["Exploris"], values["QE"])
    np.testing.assert_array_equal(values["Nix"], manager.predict_ms2_array(BARE))
    assert "Unknown instrument 'Nix'" in caplog.text


@pytest.mark.parametrize("name", FINETUNE)
def test_tuning_changes_one_model_and_can_be_taken_back(manager, name):
    start = {n: copy.deepcopy(manager.interface(n).model.state_dict()) for n in NAMES}
    inputs = PEPTIDES.copy(), FRAGMENTS.copy()
    history = FINETUNE[name](manager)
    assert list(history.columns) == ["epoch", "property", "data_split", "metric_name", "value"]
    assert manager.results[name].name == name
    pd.testing.assert_frame_equal(PEPTIDES, inputs[0])
    pd.testing.assert_frame_equal(FRAGMENTS, inputs[1])
    for n in NAMES:
        now = manager.interface(n).model.state_dict()
        assert all(torch.equal(now[k], v) for k, v in start[n].items()) == (n != name)
    manager.restore_pretrained(name)
    now = manager.interface(name).model.state_dict()
    assert all(torch.equal(now[k], v) for k, v in start[name].items())


def test_order_of_the_models_does_not_change_their_weights(folder):
    states = []
    for order in (("rt", "charge"), ("charge", "rt")):
        manager = FinetuneManager("cpu", SHORT, models=folder)
        for name in order:
            FINETUNE[name](manager)
        states.append(manager.rt_model.model.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_saved_models_are_loaded_by_peptdeep_and_by_us(manager, tmp_path):
    FINETUNE["rt"](manager)
    manager.save_models(tmp_path / "models")
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == sorted(f"{n}.pth" for n in NAMES)
    rt, charge = AlphaRTModel(device="cpu"), ChargeModelForModAASeq(device="cpu")
    rt.load(str(tmp_path / "models" / "rt.pth"))
    charge.load(str(tmp_path / "models" / "charge.pth"))
    again = FinetuneManager("cpu", models=tmp_path / "models", precision="fp32")
    expected = manager.predict_rt_array(BARE)
    np.testing.assert_array_equal(again.predict_rt_array(BARE), expected)
    np.testing.assert_allclose(stock(rt, BARE)["rt_pred"], expected, atol=1e-5)


def test_tuned_models_of_a_bundle_predict_as_they_did_and_can_be_taken_back(folder, tmp_path):
    def make():
        return FinetuneManager("cpu", SHORT, models=folder, precision="fp32", seed=4)

    tuned, again = make(), make()
    pretrained = again.predict_rt_array(BARE)
    FINETUNE["rt"](tuned)
    tuned.finetune_ms2(PEPTIDES, FRAGMENTS, nce=25.0)
    tuned.save_models(tmp_path / "models")
    again.load_tuned(tmp_path / "models", ("rt", "ms2"))
    again.use_nce(25.0)
    np.testing.assert_array_equal(again.predict_rt_array(BARE), tuned.predict_rt_array(BARE))
    np.testing.assert_array_equal(again.predict_ms2_array(BARE), tuned.predict_ms2_array(BARE))
    again.restore_pretrained("rt")
    again.restore_pretrained("ms2")
    np.testing.assert_array_equal(again.predict_rt_array(BARE), pretrained)
    assert again.nce == 30.0


def test_a_bundle_without_the_model_is_an_error(manager, tmp_path):
    with pytest.raises(WeightsError, match=r"rt\.pth"):
        manager.load_tuned(tmp_path, ("rt",))


PREDICT = {
    "rt": lambda m, df: m.predict_rt_array(df),
    "ccs": lambda m, df: m.predict_ccs_array(df),
    "charge": lambda m, df: m.predict_charge_probabilities(df),
    "ms2": lambda m, df: m.predict_ms2_array(df),
}


@pytest.mark.parametrize("name", PREDICT)
def test_chunks_that_another_process_made_are_the_predictions(folder, tmp_path, name):
    def make():
        manager = FinetuneManager("cpu", SHORT, models=folder, precision="fp32")
        manager.predicted_chunks = PredictedChunks(tmp_path / "chunks")
        return manager

    first, second = make(), make()
    made = PREDICT[name](first, BARE)
    np.testing.assert_array_equal(made, PREDICT[name](FinetuneManager("cpu", models=folder, precision="fp32"), BARE))
    np.testing.assert_array_equal(PREDICT[name](second, BARE), made)
    assert (second.predicted_chunks.found, second.predicted_chunks.missing) == (1, 0)


def test_chunks_predicted_with_other_settings_are_not_used(folder, tmp_path):
    manager = FinetuneManager("cpu", SHORT, models=folder, precision="fp32")
    manager.predicted_chunks = PredictedChunks(tmp_path / "chunks")
    made = manager.predict_ms2_array(BARE)
    manager.nce = 15.0
    assert not np.array_equal(manager.predict_ms2_array(BARE), made)
    assert manager.predicted_chunks.found == 0


def test_what_predict_all_asks_is_known_in_advance(folder, tmp_path):
    manager = FinetuneManager("cpu", models=folder, precision="fp32")
    manager.predicted_chunks = PredictedChunks(tmp_path / "chunks")
    tables = manager.tables_to_predict(BARE.sample(frac=1.0, random_state=1, ignore_index=True))
    predict = {"rt": manager.predict_rt_array, "ccs": manager.predict_ccs_array, "ms2": manager.predict_ms2_array}
    for name, table in tables.items():
        predict[name](table)
    manager.predict_all(BARE.sample(frac=1.0, random_state=1, ignore_index=True))
    assert (manager.predicted_chunks.found, manager.predicted_chunks.missing) == (3, 3)


def test_models_that_cannot_be_written_are_an_error(manager, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be written"):
        manager.save_models(tmp_path / "file" / "models")


def test_provenance_names_file_and_hash(manager, folder):
    sources = manager.weight_sources()
    assert set(sources) == set(NAMES)
    assert sources["rt"]["source"] == str(folder / "rt.pth")
    assert len(sources["rt"]["sha256"]) == 64


def test_a_model_that_does_not_fit_the_gpu_is_tuned_on_the_cpu_from_its_own_weights(manager, monkeypatch, caplog):
    before = {k: v.clone() for k, v in manager.rt_model.model.state_dict().items()}
    real, calls = repeated_tuning.tune, []

    def short_of_memory(task, network, data, settings, **kwargs):
        calls.append(all(torch.equal(v, before[k]) for k, v in network.state_dict().items()))
        if len(calls) == 1:
            with torch.no_grad():
                next(network.parameters()).add_(1.0)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(task, network, data, settings, **kwargs)

    monkeypatch.setattr(repeated_tuning, "tune", short_of_memory)
    manager.finetune_rt(PEPTIDES)
    assert calls[:2] == [True, True]
    assert "rt" in manager.results
    assert "runs on the CPU" in caplog.text


def test_side_by_side_each_model_learns_what_it_learns_alone(folder):
    few = PEPTIDES.head(60)

    def tuned(threads):
        torch.set_num_threads(threads)
        manager = FinetuneManager("cpu", SHORT, models=folder, precision="fp32")
        jobs = {n: lambda n=n: getattr(manager, f"finetune_{n}")(few) for n in ("rt", "charge")}
        run_side_by_side(jobs, {"ms2": lambda: manager.finetune_ms2(few, FRAGMENTS)})
        return {n: copy.deepcopy(manager.interface(n).model.state_dict()) for n in ("rt", "charge", "ms2")}

    before = torch.get_num_threads()
    try:
        alone, together = tuned(1), tuned(2)
    finally:
        torch.set_num_threads(before)
    for name, weights in alone.items():
        assert all(torch.equal(w, together[name][key]) for key, w in weights.items()), name


@pytest.mark.parametrize("name", ["rt", "ccs", "charge", "ms2"])
def test_peptides_that_were_kept_out_score_both_models_and_no_others_do(manager, name):
    rest, kept = PEPTIDES[:100], PEPTIDES[100:]
    if name == "ms2":
        manager.finetune_ms2(rest, FRAGMENTS, nce=27.0)  # the pretrained model keeps its 30
    else:
        getattr(manager, f"finetune_{name}")(rest)
    found = manager.score_unseen(name, kept)
    assert sorted(found.peptides) == sorted(kept["sequence"])
    assert np.isfinite([found.metric_before, found.metric_after]).all()
    assert len(manager.score_unseen(name, kept[:0]).peptides) == 0
    manager.restore_pretrained(name)
    again = manager.score_unseen(name, kept)
    np.testing.assert_allclose(again.after, found.before, rtol=1e-5)
    with pytest.raises(DataError, match=r"1 of the peptides to score the .* model with were given to its tuning"):
        manager.score_unseen(name, PEPTIDES[99:])
