from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.peptide.mobility import ccs_to_mobility_for_df
from alphadia.libtransform.base import ProcessingPipeline
from alphadia.libtransform.decoy import DecoyGenerator
from alphadia.libtransform.flatten import FlattenLibrary, InitFlatColumns
from alphadia.libtransform.harmonize import AnnotateFasta, IsotopeGenerator, PrecursorInitializer, RTNormalization
from alphadia.libtransform.loader import DynamicLoader

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import LibraryError, PredictionError
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.speclib.regenerate import TunedModels, regenerate, tables_to_predict
from alphadia_tl.step.outcome import StepOutcome

from .conftest import FRAG_TYPES, MadePredictor, load, make_library, spectrum

PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]


def run(path, predictor, accepted, **options):
    out = path.with_name("speclib.tuned.hdf")
    models = TunedModels(predictor, accepted, **{"charged_frag_types": FRAG_TYPES, **options})
    return regenerate(path, out, models), load(out)


def assert_spectra(library, frag_types=FRAG_TYPES):
    """Each precursor owns its predicted spectrum, without impossible fragments, scaled to 1."""
    mz, intensity = library._fragment_mz_df.to_numpy(), library._fragment_intensity_df.to_numpy()
    for row in library._precursor_df.itertuples():
        cells = slice(row.frag_start_idx, row.frag_stop_idx)
        expected = np.where(mz[cells] > 0, spectrum(row.sequence, row.charge, frag_types), 0)
        np.testing.assert_allclose(intensity[cells], expected / expected.max(), rtol=1e-5)


CHANGED = {
    "rt": {"rt_pred", "rt_norm_pred"},
    "ccs": {"ccs_pred", "mobility_pred"},
    "ms2": {"fragment_intensity"},
    "charge": set(),
}


@pytest.mark.parametrize("accepted", [("rt",), ("ccs",), ("ms2",), ("charge",), (), ("rt", "ms2"), tuple(CHANGED)])
def test_only_what_was_accepted_changes(library_path, predictor, accepted):
    before = load(library_path)
    summary, after = run(library_path, predictor, accepted)
    changed = {c for c in before._precursor_df.columns if not before._precursor_df[c].equals(after._precursor_df[c])}
    if not before._fragment_intensity_df.equals(after._fragment_intensity_df):
        changed.add("fragment_intensity")
    assert changed == set().union(*(CHANGED[m] for m in accepted))
    pd.testing.assert_frame_equal(before._fragment_mz_df, after._fragment_mz_df)
    assert set(summary["accepted"]) == set(accepted)
    assert set(summary["correlation"]) == set(accepted) - {"charge"}
    assert all(0.5 < r <= 1 for r in summary["correlation"].values())


@pytest.mark.parametrize("chunk_rows", [1, 7, 10_000])
def test_every_precursor_gets_its_own_predictions_whatever_the_chunks(library_path, predictor, chunk_rows):
    _, after = run(library_path, predictor, ("rt", "ccs", "ms2"), chunk_rows=chunk_rows)
    df = after._precursor_df
    np.testing.assert_array_equal(df["rt_pred"], MadePredictor().predict_rt_array(df[PRECURSOR].reset_index(drop=True)))
    np.testing.assert_allclose(df["mobility_pred"], ccs_to_mobility_for_df(df, "ccs_pred"), rtol=1e-6)
    assert_spectra(after)


def test_retention_time_is_predicted_once_per_peptidoform(library_path, predictor):
    run(library_path, predictor, ("rt", "ms2"))
    n = len(load(library_path)._precursor_df)
    assert predictor.rows_seen == {"rt": n // 3, "ms2": n}


@pytest.fixture
def scouted(library_path, tmp_path):
    """The library of a third of the peptides, and the digest of all, in another order."""
    library = load(library_path)
    df = library._precursor_df
    digest = df[[*PRECURSOR, "nAA", "precursor_mz"]].assign(protein_idxes="0").sample(frac=1, random_state=1)
    digest.reset_index(drop=True).to_parquet(tmp_path / "digest.parquet")
    library._precursor_df = df[df["nAA"] % 3 == 0].reset_index(drop=True)
    library.remove_unused_fragments()
    library.save_hdf(str(tmp_path / "scouted.hdf"))
    return tmp_path / "scouted.hdf", tmp_path / "digest.parquet"


def test_of_a_library_that_was_searched_in_part_all_is_predicted(library_path, predictor, scouted):
    """As if all of it had been searched; each model is judged by the part whose values there are."""
    accepted = ("rt", "ccs", "ms2")
    output = library_path.with_name("whole.hdf")
    models = TunedModels(predictor, accepted, FRAG_TYPES)
    summary = regenerate(scouted[0], output, models, scouted[1])
    assert all(0.5 < r <= 1 for r in summary["correlation"].values())
    _, expected = run(library_path, MadePredictor(), accepted)
    found, wanted = (lib._precursor_df.sort_values(PRECURSOR) for lib in (load(output), expected))
    columns = [*PRECURSOR, "rt_pred", "rt_norm_pred", "ccs_pred", "mobility_pred", "precursor_mz"]
    pd.testing.assert_frame_equal(found[columns].reset_index(drop=True), wanted[columns].reset_index(drop=True))
    assert_spectra(load(output))
    asked = tables_to_predict(scouted[0], models, scouted[1])
    assert {name: len(table) for name, table in asked.items()} == predictor.rows_seen


@pytest.mark.parametrize("cutoff", [None, 0.3])
@pytest.mark.parametrize("accepted", [("rt",), ("ms2", "rt"), ("ccs", "charge"), tuple(CHANGED)])
def test_what_will_be_asked_is_known_beforehand(library_path, accepted, cutoff):
    asked = {}

    class Noting(MadePredictor):
        def _count(self, stage, df):
            super()._count(stage, df)
            asked.setdefault(stage, []).append(df)

    options = {"charged_frag_types": FRAG_TYPES, "charge_cutoff": cutoff}
    run(library_path, Noting(), accepted, **options)
    tables = tables_to_predict(library_path, TunedModels(MadePredictor(), accepted, **options))
    assert set(tables) == set(accepted) - {"charge"}
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, pd.concat(asked[name], ignore_index=True))


@pytest.mark.parametrize(
    ("model", "stale"),
    [("rt", "rt"), ("rt", "rt_norm"), ("rt", "irt"), ("rt", "rt_library"), ("ccs", "mobility"),
     ("ccs", "mobility_library")],
)  # fmt: skip
def test_columns_that_the_search_would_prefer_are_dropped(tmp_path, predictor, library, model, stale):
    predicted = {"rt": "rt_pred", "ccs": "mobility_pred"}[model]
    library._precursor_df = library._precursor_df.rename(columns={predicted: stale})
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    summary, after = run(tmp_path / "speclib.hdf", predictor, (model,))
    assert stale not in after._precursor_df.columns
    assert predicted in after._precursor_df.columns
    assert summary["correlation"][model] > 0.5


@pytest.mark.parametrize("shuffled", [False, True])
def test_other_fragment_types_get_new_mz_values(tmp_path, shuffled):
    library = make_library(frag_types=("b_z1", "y_z1", "y_z2"))
    if shuffled:
        library._precursor_df = library._precursor_df.sample(frac=1, random_state=1).reset_index(drop=True)
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    types = ["b_z1", "y_z1", "y_z2", "b_modloss_z1", "y_H2O_z1"]
    _, after = run(tmp_path / "speclib.hdf", MadePredictor(types), ("ms2",), charged_frag_types=types)
    assert sorted(after._fragment_mz_df.columns) == sorted(types) == sorted(after._fragment_intensity_df.columns)
    plain = after._precursor_df.drop(columns=["frag_start_idx", "frag_stop_idx"])
    plain["nAA"] = plain["sequence"].str.len()
    expected = create_fragment_mz_dataframe(plain, types)[list(after._fragment_mz_df.columns)]
    np.testing.assert_allclose(after._fragment_mz_df, expected)
    last = after._fragment_mz_df["y_z1"].to_numpy()[after._precursor_df["frag_stop_idx"] - 1]
    y1 = np.where(after._precursor_df["sequence"].str.endswith("K"), 147.1128, 175.1190)
    np.testing.assert_allclose(last, y1, atol=1e-3)
    order = types
    after._fragment_mz_df, after._fragment_intensity_df = (
        after._fragment_mz_df[order],
        after._fragment_intensity_df[order],
    )
    assert_spectra(after, types)
    assert (after._fragment_intensity_df["b_modloss_z1"] == 0).all()  # no phosphorylation in the library


def test_unused_and_shared_fragment_rows_are_untangled(tmp_path, predictor, library):
    df = library._precursor_df
    shared = df.groupby("sequence")[["frag_start_idx", "frag_stop_idx"]].transform("first")
    df[["frag_start_idx", "frag_stop_idx"]] = shared
    library._precursor_df = df.iloc[30:].sample(frac=1, random_state=0).reset_index(drop=True)
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    _, after = run(tmp_path / "speclib.hdf", predictor, ("ms2",))
    assert len(after._fragment_mz_df) == (after._precursor_df["nAA"] - 1).sum()
    assert_spectra(after)


def test_charge_states_that_the_model_rules_out_leave_with_their_fragments(library_path, predictor):
    before = load(library_path)
    summary, after = run(library_path, predictor, ("charge", "ms2"), charge_cutoff=0.5)
    df = after._precursor_df
    n_peptides = before._precursor_df["sequence"].nunique()
    assert df["sequence"].nunique() == n_peptides
    assert summary["dropped_charge_states"][4] == n_peptides
    assert 0 < summary["dropped_charge_states"][3] < n_peptides
    assert 2 not in summary["dropped_charge_states"]
    assert summary["precursors_before"] - summary["precursors_after"] == sum(summary["dropped_charge_states"].values())
    for column in ("precursor_idx", "elution_group_idx"):
        assert sorted(df[column]) == list(range(len(df)))
    assert len(after._fragment_intensity_df) == (df["nAA"] - 1).sum()
    assert predictor.rows_seen["ms2"] == len(df)
    assert_spectra(after)


def test_charge_filter_alone_keeps_the_spectra_of_the_first_pass(library_path, predictor):
    before = load(library_path)
    _, after = run(library_path, predictor, ("charge",), charge_cutoff=0.5)
    old = before._precursor_df.set_index(PRECURSOR)
    for row in after._precursor_df.itertuples():
        was = old.loc[(row.sequence, row.mods, row.mod_sites, row.charge)]
        for name in ("_fragment_mz_df", "_fragment_intensity_df"):
            np.testing.assert_array_equal(
                getattr(after, name).to_numpy()[row.frag_start_idx : row.frag_stop_idx],
                getattr(before, name).to_numpy()[was.frag_start_idx : was.frag_stop_idx],
            )


def test_without_a_cutoff_no_charge_state_leaves(library_path, predictor):
    summary, _ = run(library_path, predictor, ("charge",))
    assert summary["precursors_after"] == summary["precursors_before"]
    assert summary["dropped_charge_states"] == {}
    assert "charge" not in predictor.rows_seen


class Broken(MadePredictor):
    def __init__(self, method, change):
        super().__init__()
        original = getattr(self, method)
        setattr(self, method, lambda df: change(original(df)))


def shuffled(values):
    return np.random.default_rng(0).permutation(values)


def with_nan(values):
    values = values.copy()
    values[3] = np.nan
    return values


@pytest.mark.parametrize(
    ("model", "method", "change", "words"),
    [
        ("rt", "predict_rt_array", with_nan, "not finite"),
        ("rt", "predict_rt_array", np.zeros_like, "zero"),
        ("rt", "predict_rt_array", np.ones_like, "equal 1"),
        ("rt", "predict_rt_array", shuffled, r"column 'rt_pred'.*at only"),
        ("rt", "predict_rt_array", lambda v: -v, "at only -"),
        ("ccs", "predict_ccs_array", np.zeros_like, "zero"),
        ("ccs", "predict_ccs_array", shuffled, "at only"),
        ("charge", "predict_charge_probabilities", with_nan, "not finite"),
        ("ms2", "predict_ms2_array", with_nan, "not finite"),
        ("ms2", "predict_ms2_array", np.zeros_like, "zero"),
        ("ms2", "predict_ms2_array", np.ones_like, "equal|could not|at only"),
        ("ms2", "predict_ms2_array", shuffled, "at only"),
        ("ms2", "predict_ms2_array", lambda v: np.where(np.arange(len(v))[:, None] < 100, 0, v), "no predicted"),
    ],
)
def test_unusable_predictions_leave_no_library_behind(library_path, model, method, change, words):
    with pytest.raises(PredictionError, match=words):
        run(library_path, Broken(method, change), (model,), charge_cutoff=0.5)
    assert [p.name for p in library_path.parent.iterdir()] == ["speclib.hdf"]


def test_library_of_another_layout_is_refused(tmp_path, predictor, library):
    library._precursor_df["frag_stop_idx"] += 1
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    with pytest.raises(LibraryError, match="fragment rows"):
        run(tmp_path / "speclib.hdf", predictor, ("rt",))


def test_columns_split_over_two_groups_are_read(tmp_path, predictor):
    library = make_library(20)
    library.save_hdf(str(tmp_path / "speclib.hdf"), save_mod_seq_in_other_df=True)
    _, after = run(tmp_path / "speclib.hdf", predictor, ("rt", "ms2"))
    assert (after._precursor_df["proteins"] == "P1").all()
    assert_spectra(after)


def test_fragment_types_are_matched_by_name(library_path):
    predictor = MadePredictor(["y_z2", "y_z1", "b_z2", "b_z1", "y_H2O_z1"])
    _, after = run(library_path, predictor, ("ms2",))
    assert tuple(after._fragment_intensity_df.columns) == FRAG_TYPES
    assert_spectra(after)


def test_fragment_types_that_the_model_does_not_know_are_refused(library_path):
    with pytest.raises(PredictionError, match="does not predict y_z2, only b_z1, b_z2, y_z1"):
        run(library_path, MadePredictor(FRAG_TYPES[:3]), ("ms2",))


def harmonize(fasta):
    return ProcessingPipeline(
        [PrecursorInitializer(), AnnotateFasta([str(fasta)]), IsotopeGenerator(4, mp_process_num=1), RTNormalization()]
    )


def prepare():
    return ProcessingPipeline([DecoyGenerator(mp_process_num=1), FlattenLibrary(12, 0.01), InitFlatColumns()])


@pytest.fixture
def first_pass(tmp_path):
    """A library as alphaDIA saves it: predicted, annotated, with isotopes; one peptide is in no protein."""
    library = make_library(40)
    library._precursor_df = library._precursor_df.drop(
        columns=["proteins", "genes", "decoy", "channel", "elution_group_idx", "precursor_idx"]
    )
    peptides = sorted(library._precursor_df["sequence"].unique())
    fasta = tmp_path / "proteins.fasta"
    fasta.write_text("".join(f">sp|P{i}|N{i} x GN=G{i}\nMK{p}GGK\n" for i, p in enumerate(peptides[1:])))
    path = tmp_path / "speclib.hdf"
    harmonize(fasta)(library).save_hdf(str(path))
    return path, fasta


def searched_library(plan, name, outcome=None):
    step = plan.passes.make_step(name, plan.passes.config(name, {}, outcome))
    step.load_library()
    return step.spectral_library


CHANNELS = [
    {"channel_name": 0, "modifications": {"Oxidation@M": "Oxidation@M"}},
    {"channel_name": 4, "modifications": {"Oxidation@M": "Dioxidation@M"}},
]


def test_channels_elute_together_in_both_passes(tmp_path, first_pass):
    """Some peptides carry no label: their channels are alike, and stay."""
    given, _ = first_pass
    config = {
        "alphadia_tl": {"enabled": True},
        "library_path": str(given),
        "general": {"thread_count": 1, "use_gpu": False},
        "library_multiplexing": {"enabled": True, "multiplex_mapping": CHANNELS},
    }
    plan = TransferLearningPlan(str(tmp_path / "out"), config, {})
    bundle = Bundle(tmp_path / "out" / "transfer")
    passes = [searched_library(plan, "transfer").precursor_df]
    models = TunedModels(MadePredictor(), ("rt", "ccs", "ms2", "charge"), FRAG_TYPES, charge_cutoff=0.2)
    summary = regenerate(bundle.folder / "speclib.hdf", bundle.tuned_library, models)
    assert summary["dropped_charge_states"]
    passes.append(searched_library(plan, "library", StepOutcome(bundle, regeneration=summary)).precursor_df)
    for df in passes:
        assert not df["precursor_idx"].duplicated().any()
        for _, group in df.groupby("elution_group_idx"):
            assert sorted(zip(group["channel"], group["decoy"], strict=True)) == [(0, 0), (0, 1), (4, 0), (4, 1)]
            assert len(set(group["charge"])) == 1
            targets = group[group["decoy"] == 0]
            for column in ("sequence", "rt_library", "mobility_library"):
                assert len(set(targets[column])) == 1
        heavy = df[df["channel"] == 4].query("decoy == 0")
        assert set(heavy["mods"].unique()) == {"", "Dioxidation@M"}
    assert len(passes[1]) < len(passes[0])
    tuned = load(bundle.tuned_library)
    values = tuned._fragment_intensity_df.to_numpy()
    for _, group in tuned._precursor_df.groupby("elution_group_idx"):
        light, heavy = (values[a:b] for a, b in zip(group["frag_start_idx"], group["frag_stop_idx"], strict=True))
        np.testing.assert_array_equal(light, heavy)


@pytest.mark.parametrize(
    ("accepted", "annotated"), [(("rt",), False), (("ms2",), True), (("rt", "ccs", "ms2", "charge"), True)]
)
def test_no_pass_searches_decoys_that_a_library_brings_beside_tuned_targets(tmp_path, first_pass, accepted, annotated):
    given, fasta = first_pass
    library = DecoyGenerator("pseudo_reverse", mp_process_num=1)(DynamicLoader()(given))
    brought = library._precursor_df.query("decoy == 1")
    library.save_hdf(str(given))
    config = {
        "alphadia_tl": {"enabled": True},
        "library_path": str(given),
        "fasta_paths": [str(fasta)] if annotated else [],
        "general": {"thread_count": 1, "use_gpu": False},
    }
    plan = TransferLearningPlan(str(tmp_path / "out"), config, {})
    bundle = Bundle(tmp_path / "out" / "transfer")
    passes = {"first": searched_library(plan, "transfer")}
    summary = regenerate(
        bundle.folder / "speclib.hdf", bundle.tuned_library, TunedModels(MadePredictor(), accepted, FRAG_TYPES)
    )
    passes["final"] = searched_library(plan, "library", StepOutcome(bundle, regeneration=summary))
    for flat in passes.values():
        df = flat.precursor_df.sort_values(["elution_group_idx", "decoy"])
        targets, decoys = df[df["decoy"] == 0], df[df["decoy"] == 1]
        assert len(targets) == len(decoys) == len(brought)
        assert len(set(decoys["sequence"]) & set(brought["sequence"])) == 0
        for column in ("charge", "rt_library", "mobility_library", "nAA"):
            np.testing.assert_array_equal(decoys[column], targets[column])
        for target, decoy in zip(targets.head(20).itertuples(), decoys.head(20).itertuples(), strict=True):
            spectra = [flat.fragment_df.iloc[p.flat_frag_start_idx : p.flat_frag_stop_idx] for p in (target, decoy)]
            values = [s.set_index(["type", "charge", "position"])["intensity"].sort_index() for s in spectra]
            pd.testing.assert_series_equal(*values)
    times = [
        p.precursor_df.query("decoy == 0").set_index(PRECURSOR)["rt_library"].sort_index() for p in passes.values()
    ]
    assert times[0].equals(times[1]) == ("rt" not in accepted)
    assert set(passes["first"].precursor_df["proteins"]) == set(passes["final"].precursor_df["proteins"])


def test_decoys_of_a_library_given_to_the_models_alone_are_left_out_and_told(tmp_path, library, caplog):
    library._precursor_df["decoy"] = np.arange(len(library._precursor_df)) % 3 == 0
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    summary, after = run(tmp_path / "speclib.hdf", MadePredictor(), ("rt", "ms2"))
    assert (after._precursor_df["decoy"] == 0).all()
    assert summary["precursors_before"] == len(after._precursor_df) == len(library._precursor_df) * 2 // 3
    assert "decoy, made anew" in caplog.text
    assert_spectra(after)


@pytest.mark.parametrize(("stale", "cutoff"), [(None, None), ("rt", 0.5), ("rt_norm", None), ("irt", None)])
def test_the_search_sees_the_tuned_predictions(tmp_path, first_pass, stale, cutoff):
    path, fasta = first_pass
    if stale is not None:
        library = DynamicLoader()(path)
        library._precursor_df[stale] = library._precursor_df["rt_pred"].to_numpy() * 100
        library.save_hdf(str(path))
    out = tmp_path / "speclib.tuned.hdf"
    regenerate(path, out, TunedModels(MadePredictor(), ("rt", "ccs", "ms2", "charge"), FRAG_TYPES, cutoff))
    flat = prepare()(harmonize(fasta)(DynamicLoader()(out)))
    targets = flat.precursor_df[flat.precursor_df["decoy"] == 0]
    n_peptidoforms = len(targets.groupby(["sequence", "mods", "mod_sites"]))
    assert n_peptidoforms == 39
    assert (len(targets) < 3 * n_peptidoforms) == (cutoff is not None)
    assert (flat.precursor_df["decoy"] == 1).sum() == len(targets)
    tuned = MadePredictor()
    fresh = targets.reset_index(drop=True)[["sequence", "charge", "nAA"]]
    np.testing.assert_array_equal(targets["rt_library"], tuned.predict_rt_array(fresh))
    np.testing.assert_array_equal(targets["ccs_pred"], tuned.predict_ccs_array(fresh))
    assert (targets["mobility_library"] > 0).all()
    for row in targets.head(20).itertuples():
        found = flat.fragment_df["intensity"].to_numpy()[row.flat_frag_start_idx : row.flat_frag_stop_idx]
        top = np.sort(spectrum(row.sequence, row.charge).ravel())[-12:]
        np.testing.assert_allclose(np.sort(found), top, rtol=1e-5)


GIVEN = ("b_z1", "b_z2", "y_z1", "y_z2", "y_H2O_z1", "y_z3", "c_z1")


def given_library(path, *, types=GIVEN, scale=1.0):
    """Write a library with fragments that the made predictor does not know, and return it."""
    library = make_library(frag_types=types)
    library._fragment_intensity_df *= scale
    library.save_hdf(str(path))
    return load(path)


def shares(library, of, among=FRAG_TYPES):
    """Return what each precursor's intensity in some fragment types is of that in others."""
    df, table = library._precursor_df, library._fragment_intensity_df
    of, among = (np.add.reduceat(table[list(c)].sum(axis=1).to_numpy(), df["frag_start_idx"]) for c in (of, among))
    return of / among


def test_fragments_that_the_model_does_not_know_stay_on_the_scale_of_the_predictions(tmp_path):
    path = tmp_path / "speclib.hdf"
    before = given_library(path, scale=5000.0)
    exact = MadePredictor()
    # a model that predicts exactly what the library says: the whole spectrum stays, relative to its highest fragment
    said = {(r.sequence, r.charge): slice(r.frag_start_idx, r.frag_stop_idx) for r in before._precursor_df.itertuples()}
    values = before._fragment_intensity_df[list(FRAG_TYPES)].to_numpy()
    exact.predict_ms2_array = lambda df: np.concatenate(
        [values[said[key]] / values[said[key]].max() for key in zip(df["sequence"], df["charge"], strict=True)]
    )
    summary, after = run(path, exact, ("ms2",))
    table = before._fragment_intensity_df
    top = np.maximum.reduceat(table.max(axis=1).to_numpy(), before._precursor_df["frag_start_idx"].to_numpy())
    relative = table.div(np.repeat(top, before._precursor_df["nAA"] - 1), axis=0)
    pd.testing.assert_frame_equal(after._fragment_intensity_df[table.columns], relative, rtol=1e-4, atol=1e-6)
    pd.testing.assert_frame_equal(after._fragment_mz_df[table.columns], before._fragment_mz_df)
    assert summary["stays"] == [
        "the MS2 model did not learn the library's fragments c_z1, y_z3, y_H2O_z1: their intensities stay, on the "
        "scale of those predicted"
    ]


def test_other_predictions_keep_the_share_of_fragments_that_stay(tmp_path):
    before = given_library(tmp_path / "speclib.hdf")
    _, after = run(tmp_path / "speclib.hdf", MadePredictor(), ("ms2",))
    kept = ("y_H2O_z1", "y_z3", "c_z1")
    np.testing.assert_allclose(shares(after, kept), shares(before, kept), rtol=1e-4)
    assert_spectra_of(after, FRAG_TYPES)


def assert_spectra_of(library, frag_types):
    """Each precursor owns its predicted spectrum in some types, on any scale."""
    mz, intensity = library._fragment_mz_df[list(frag_types)], library._fragment_intensity_df[list(frag_types)]
    for row in library._precursor_df.itertuples():
        cells = slice(row.frag_start_idx, row.frag_stop_idx)
        expected = np.where(mz.iloc[cells] > 0, spectrum(row.sequence, row.charge, frag_types), 0)
        found = intensity.iloc[cells].to_numpy()
        np.testing.assert_allclose(found / found.max(), expected / expected.max(), rtol=1e-4)


def test_a_precursor_with_no_predicted_type_of_its_own_keeps_its_other_fragments(tmp_path):
    path = tmp_path / "speclib.hdf"
    library = given_library(path)
    first = slice(0, library._precursor_df["frag_stop_idx"].iloc[0])
    library._fragment_intensity_df.loc[library._fragment_intensity_df.index[first], list(FRAG_TYPES)] = 0
    library.save_hdf(str(path))
    _, after = run(path, MadePredictor(), ("ms2",))
    spectrum_of_first = after._fragment_intensity_df.iloc[first]
    assert spectrum_of_first[["y_H2O_z1", "y_z3", "c_z1"]].to_numpy().max() == 1
    assert spectrum_of_first[list(FRAG_TYPES)].to_numpy().max() == 1


def test_types_of_the_library_that_the_model_learnt_are_predicted_too(tmp_path):
    given_library(tmp_path / "speclib.hdf")
    predictor = MadePredictor(["b_z1", "b_z2", "y_z1", "y_z2", "y_H2O_z1", "b_NH3_z1"])
    _, after = run(tmp_path / "speclib.hdf", predictor, ("ms2",))
    assert_spectra_of(after, [*FRAG_TYPES, "y_H2O_z1"])
    assert set(after._fragment_intensity_df.columns) == set(GIVEN)  # and none that neither the library nor the user has


def test_a_library_of_fragments_that_no_model_knows_stays_whole(tmp_path):
    given_library(tmp_path / "speclib.hdf", types=("c_z1", "z_z1"))
    with pytest.raises(PredictionError, match="c_z1, z_z1") as refused:
        run(tmp_path / "speclib.hdf", MadePredictor(), ("ms2",))
    assert refused.value.model == "ms2"


@pytest.mark.parametrize("missing", [0.0, np.nan])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_ccs_model_is_judged_by_the_precursors_with_a_mobility(tmp_path, predictor, library, missing, share):
    unknown = np.random.default_rng(1).random(len(library._precursor_df)) < share
    library._precursor_df.loc[unknown, "mobility_pred"] = missing
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    summary, after = run(tmp_path / "speclib.hdf", predictor, ("ccs",))
    assert summary["correlation"]["ccs"] > 0.95
    assert (after._precursor_df["mobility_pred"] > 0).all()


def test_columns_and_channels_of_the_library_stay(tmp_path, predictor):
    library = make_library()
    library.append(library.copy())
    df = library._precursor_df
    half = len(df) // 2
    df["channel"] = 4 * (np.arange(len(df)) // half)
    df["note"], df["my_score"] = "kept", np.where(np.arange(len(df)) % 2, np.nan, 1.5)
    df["precursor_idx"] = np.arange(len(df))
    library.save_hdf(str(tmp_path / "speclib.hdf"))
    _, after = run(tmp_path / "speclib.hdf", predictor, ("rt", "ccs", "ms2"))
    same = ["sequence", "charge", "decoy", "channel", "note", "my_score", "proteins", "genes", "precursor_idx"]
    pd.testing.assert_frame_equal(after._precursor_df[same], df[same])
