import logging
from types import SimpleNamespace

import alphadia.fdr.fdr
import numpy as np
import pandas as pd
import pytest
import torch
from alphadia.exceptions import CustomError
from alphadia.fdr.classifiers import BinaryClassifierLegacyNewBatching
from alphadia.libtransform.fasta_digest import FastaDigest
from alphadia.libtransform.prediction import PeptDeepPrediction
from alpharaw.mzml import MzMLReader
from made_models import write_networks, write_zip
from made_mzml import in_seconds, without, write_cycles
from peptdeep.settings import global_settings

from alphadia_tl import host
from alphadia_tl.errors import LibraryError, WeightsError
from alphadia_tl.host.hooks import (
    MAX_NEW_STARTS,
    best_of_isomers,
    checked_loader,
    classifiers_that_fail_start_again,
    isomer_groups,
    mzml_is_mended,
    one_isomer_explains_a_peak,
    prediction_class,
    replaced,
    separates,
)
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.simulate.sample import random_proteome
from alphadia_tl.speclib.storage import sound_library

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
    with classifiers_that_fail_start_again() as starts:
        scored = perform(classifier, candidates)
    assert passed(scored) > 900
    assert len(starts) == dead_fits
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
    ("proba", "expected"),
    [
        pytest.param([0.1] * 500 + [0.5] * 500, False, id="half_share_the_best"),
        pytest.param(np.linspace(0.1, 0.9, 1000), True, id="none_shares"),
        pytest.param(np.linspace(0.1, 0.9, 55), True, id="one_of_a_few_has_the_best"),
        pytest.param([1e-9] * 9 + [0.5] * 991, True, id="a_few_share_the_best"),
        pytest.param([0.0] * 100 + [0.5] * 900, True, id="too_small_to_write"),
        pytest.param([], True, id="no_precursor"),
    ],
)
@pytest.mark.parametrize("decoys", [0, 0.5, 1])
def test_a_classifier_failed_where_many_share_the_best_probability_whoever_they_are(proba, expected, decoys):
    scored = pd.DataFrame({"proba": proba, "qval": 0.02})
    scored["decoy"] = (np.arange(len(scored)) < decoys * len(scored)).astype(int)
    assert separates(scored) is expected


def forms(*rows):
    """Make a library of precursors: sequence, mods, sites, and what is not charge 2, channel 0 and a target."""
    made = [dict(zip(("sequence", "mods", "mod_sites"), row, strict=False)) | {"charge": 2} for row in rows]
    given = [row[3] if len(row) > 3 else {} for row in rows]
    table = pd.DataFrame([{"channel": 0, "decoy": 0, **row, **more} for row, more in zip(made, given, strict=True)])
    return table.assign(precursor_idx=np.arange(len(table)))


P, T = ("ASTSK", "Phospho@S", "2"), ("ASTSK", "Phospho@T", "3")


@pytest.mark.parametrize(
    ("library", "rows"),
    [
        pytest.param(forms(P, T, ("GGK", "", "")), [0, 1], id="on_another_residue"),
        pytest.param(forms(P, ("ASTSK", "Phospho@S", "4"), T), [0, 1, 2], id="three"),
        pytest.param(forms(("AMGMK", "Oxidation@M", "2"), ("AMGMK", "Oxidation@M", "4")), [0, 1], id="oxidation"),
        pytest.param(forms(("AKGKR", "GlyGly@K", "2"), ("AKGKR", "GlyGly@K", "4")), [0, 1], id="ubiquitin"),
        pytest.param(forms(P, (*T, {"charge": 3})), [], id="another_charge"),
        pytest.param(forms(P, (*T, {"channel": 4})), [], id="another_channel"),
        pytest.param(forms(P, (*T, {"decoy": 1})), [], id="a_decoy"),
        pytest.param(forms((*P, {"decoy": 1}), (*T, {"decoy": 1})), [0, 1], id="two_decoys"),
        pytest.param(forms(P, ("ASTSK", "Acetyl@K", "5")), [], id="another_modification"),
        pytest.param(forms(P, ("ASTSK", "", "")), [], id="unmodified"),
        pytest.param(forms(("ASTSK", None, None), P), [], id="missing_text"),
    ],
)
def test_isomers_differ_in_the_sites_of_the_same_modifications_alone(library, rows):
    groups = isomer_groups(library)
    assert groups.index.tolist() == rows
    assert groups.nunique() == bool(rows)


@pytest.mark.parametrize(
    ("seconds", "proba", "stays"),
    [
        pytest.param([9, 12], [0.1, 0.2], [0], id="the_worse_gives_way"),
        pytest.param([9, 14], [0.1, 0.2], [0, 1], id="another_peak"),
        pytest.param([9, 9], [0.1, 0.1], [0], id="equal_ones"),
        pytest.param([9, 10, 11], [0.3, 0.1, 0.2], [1], id="the_best_of_three"),
        pytest.param([9, 12, 15], [0.1, 0.2, 0.3], [0], id="a_chain"),
        pytest.param([9, 9], [np.nan, 0.1], [0, 1], id="without_a_score"),
        pytest.param([], [], [], id="nothing_found"),
    ],
)
def test_of_isomers_in_one_peak_the_best_is_reported(seconds, proba, stays):
    found = pd.DataFrame({"precursor_idx": range(len(seconds)), "rt_observed": seconds, "proba": proba}, dtype=float)
    groups = pd.Series(7, index=range(len(seconds)))
    assert np.flatnonzero(best_of_isomers(found, groups, 4.0)).tolist() == stays
    assert best_of_isomers(found, groups.iloc[:0], 4.0).all()


@pytest.mark.parametrize("isomers", [True, False])
def test_a_search_leaves_what_speaks_for_the_isomers_of_what_it_found(candidates, tmp_path, isomers):
    from alphadia.workflow.peptidecentric.peptidecentric import PeptideCentricWorkflow

    columns = {"sequence": "ASTSK", "mods": "Phospho@S", "charge": 2}
    library = candidates[["precursor_idx", "decoy", "channel"]].assign(**columns)
    library["sequence"] = [f"A{i}" for i in range(len(library))]
    library["mod_sites"] = "2"
    if isomers:
        library.loc[1, ["sequence", "mod_sites"]] = ["A0", "4"]
        library.loc[1998:1999, "sequence"] = "A1998"

    class Workflow:
        path = tmp_path
        spectral_library = type("Library", (), {"precursor_df": library})

    def extraction(workflow):
        scored = perform(Stuck(0), candidates.assign(rt_observed=9.0, fwhm_rt=4.0))
        found = scored[scored["qval"] < 0.01]
        return found, found[["precursor_idx"]].merge(pd.DataFrame({"number": [1, 2]}), how="cross")

    (tmp_path / "isomers.parquet").write_text("of an earlier call")
    with replaced(PeptideCentricWorkflow, "extraction", extraction):
        with one_isomer_explains_a_peak(), classifiers_that_fail_start_again():
            found, fragments = PeptideCentricWorkflow.extraction(Workflow)
        assert PeptideCentricWorkflow.extraction is extraction
    everything = extraction(None)[0]
    gone = set(everything["precursor_idx"]) - set(found["precursor_idx"])
    worse = everything.set_index("precursor_idx")["proba"].loc[[0, 1]].idxmax()
    assert gone == ({worse} if isomers else set())
    assert set(fragments["precursor_idx"]) == set(found["precursor_idx"])
    assert (tmp_path / "isomers.parquet").exists() == isomers
    if isomers:
        noted = pd.read_parquet(tmp_path / "isomers.parquet")
        assert noted["sequence"].tolist() == ["A0", "A0"]
        assert sorted(noted["mod_sites"]) == ["2", "4"]
        assert len(set(noted["group"])) == 1
        np.testing.assert_allclose(
            noted["proba"], everything.set_index("precursor_idx")["proba"].loc[[0, 1]], rtol=1e-5
        )


KEY = ["sequence", "mods", "mod_sites", "charge"]


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Networks in a folder, which are the installed ones too: alphaDIA's prediction loads these first."""
    folder = write_networks(tmp_path / "weights")
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path / "home"))
    write_zip(tmp_path / "home" / "pretrained_models" / global_settings["local_model_zip_name"], folder)
    return folder


def library(folder):
    """Digest a few proteins as alphaDIA does."""
    fasta = folder / "proteome.fasta"
    random_proteome(3, np.random.default_rng(2)).write_fasta(fasta)
    return FastaDigest(precursor_charge=[2, 3])([str(fasta)])


def predicted(step_class, folder, weights, **options):
    step = step_class(
        use_gpu=False, mp_process_num=1, nce=27, instrument="Lumos", peptdeep_model_path=str(weights),
        peptdeep_model_type="generic", **options,
    )  # fmt: skip
    lib = step(library(folder))
    df = lib._precursor_df.reset_index(drop=True)
    return lib, df


def blocks(lib, df, table):
    rows = zip(df["frag_start_idx"], df["frag_stop_idx"], strict=True)
    keys = df[KEY].astype(str).agg("/".join, axis=1)
    values = getattr(lib, table).to_numpy()
    return {k: values[a:b] for k, (a, b) in zip(keys, rows, strict=True)}


@pytest.mark.parametrize(
    "options", [{}, {"predict_charge": True, "min_charge_probability": 0.05}, {"fragment_types": ["y"]}]
)
def test_the_first_library_is_the_one_that_alphadia_predicts(tmp_path, weights, options):
    manager = FinetuneManager("cpu", models=weights, nce=27, instrument="Lumos", precision="fp32")
    theirs, their_df = predicted(PeptDeepPrediction, tmp_path, weights, **options)
    ours, our_df = predicted(prediction_class(manager), tmp_path, weights, **options)
    assert list(ours._fragment_intensity_df.columns) == list(theirs._fragment_intensity_df.columns)
    assert set(their_df.columns) <= set(our_df.columns)
    one, two = (df.sort_values(KEY, ignore_index=True) for df in (our_df, their_df))
    pd.testing.assert_frame_equal(one[KEY], two[KEY], check_dtype=False)
    for column in ("rt_pred", "ccs_pred", "mobility_pred", "precursor_mz"):
        np.testing.assert_allclose(one[column], two[column], rtol=1e-4, atol=1e-4)
    for table, limit in (("_fragment_intensity_df", 2e-3), ("_fragment_mz_df", 1e-3)):
        mine, stock = blocks(ours, our_df, table), blocks(theirs, their_df, table)
        assert mine.keys() == stock.keys()
        assert max(np.abs(mine[k] - stock[k]).max() for k in mine) < limit
    assert all(values.any() for values in blocks(ours, our_df, "_fragment_intensity_df").values())


@pytest.mark.parametrize("fails", [False, True])
def test_the_prediction_is_replaced_only_while_the_search_runs(weights, fails):
    import alphadia.search_step

    manager = FinetuneManager("cpu", models=weights)

    class Step:
        def run(self):
            assert alphadia.search_step.PeptDeepPrediction is not PeptDeepPrediction
            if fails:
                raise RuntimeError("search")
            return [("step", "file")]

    if fails:
        with pytest.raises(RuntimeError, match="search"):
            host.run_search(Step(), manager)
    else:
        assert host.run_search(Step(), manager) == [("step", "file")]
    assert alphadia.search_step.PeptDeepPrediction is PeptDeepPrediction


@pytest.mark.parametrize("fails", [False, True])
def test_the_plan_is_replaced_only_while_the_command_runs(monkeypatch, fails):
    import alphadia.cli
    import alphadia.search_plan

    original = alphadia.search_plan.SearchPlan
    mine = type("Mine", (original,), {})
    seen = []

    def run():
        seen.append(alphadia.search_plan.SearchPlan)
        if fails:
            raise RuntimeError("broken")

    monkeypatch.setattr(alphadia.cli, "run", run)
    if fails:
        with pytest.raises(RuntimeError):
            host.run_command_line(mine)
    else:
        assert host.run_command_line(mine) == 0
    assert seen == [mine]
    assert alphadia.search_plan.SearchPlan is original


def test_errors_of_the_plugin_become_user_errors_of_alphadia():
    from alphadia.exceptions import CustomError

    error = host.as_user_error(WeightsError("rt.pth is missing.", "Install it."))
    assert isinstance(error, CustomError)
    assert str(error) == "TL_WEIGHTS: rt.pth is missing.\nInstall it."


PEPTIDES = ["PEPTIDEK", "SAMPLERK", "LIGHTYR", "GENTLEK"]


def text_library(path, column=None, value=None, rows=lambda table: table):
    """Write a library of one row per fragment, with another value for one column of the first two peptides."""
    fragments = [
        {
            "ModifiedPeptide": f"_{p}_", "StrippedPeptide": p, "PrecursorCharge": 2, "PrecursorMz": 500.0 + i,
            "RT": 10.0 * i, "IonMobility": 0.9, "ProteinId": "P1", "Genes": "G1", "FragmentType": "y",
            "FragmentNumber": n, "FragmentCharge": 1, "FragmentLossType": "noloss", "ProductMz": 300.0,
            "RelativeIntensity": 10.0 * n,
        }
        for i, p in enumerate(PEPTIDES)
        for n in range(2, 6)
    ]  # fmt: skip
    table = rows(pd.DataFrame(fragments))
    if column:
        table[column] = table[column].astype(object)
        table.loc[table["StrippedPeptide"].isin(PEPTIDES[:2]), column] = value
    table.to_csv(path, sep="\t", index=False)
    return path


def read_as_given(path):
    return checked_loader(sound_library)()(str(path)).precursor_df.sort_values("sequence", ignore_index=True)


NOTHING = ("", "NA", "NaN")


@pytest.mark.parametrize("column", ["IonMobility", "Genes", "ProteinId", "PrecursorMz"])
@pytest.mark.parametrize("nothing", NOTHING)
def test_precursors_of_a_text_library_stay_without_what_a_search_can_do_without(tmp_path, column, nothing):
    whole = read_as_given(text_library(tmp_path / "whole.tsv"))
    found = read_as_given(text_library(tmp_path / "library.tsv", column, nothing))
    assert set(found["sequence"]) == set(PEPTIDES)
    assert (found["precursor_mz"] > 0).all()
    pd.testing.assert_frame_equal(found[["sequence", "charge", "rt"]], whole[["sequence", "charge", "rt"]])
    assert not found.isin(["NA", "NaN", "nan"]).any().any()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[(column, nothing) for column in ("RT", "PrecursorCharge", "RelativeIntensity") for nothing in NOTHING],
        ("PrecursorCharge", 0),
        ("RelativeIntensity", 0),
        ("RelativeIntensity", -3),
        ("ModifiedPeptide", "_PEP(UniMod:99999)TIDEK_"),
        ("StrippedPeptide", "pepTIDEK"),
    ],
)
def test_precursors_of_a_text_library_that_no_search_can_use_are_left_out_and_told(tmp_path, caplog, column, value):
    found = read_as_given(text_library(tmp_path / "library.tsv", column, value))
    assert set(found["sequence"]) == set(PEPTIDES[2:])
    assert "left out" in caplog.text


@pytest.mark.parametrize("column", ["decoy", "Decoy"])
@pytest.mark.parametrize(("target", "decoy"), [(0, 1), ("false", "true"), (False, True), ("", 1), (0, 2)])
def test_decoys_of_a_text_library_are_no_targets(tmp_path, column, target, decoy):
    path = text_library(tmp_path / "library.tsv", column, decoy, rows=lambda t: t.assign(**{column: target}))
    found = read_as_given(path)
    assert set(found.loc[found["decoy"] == 1, "sequence"]) == set(PEPTIDES[:2])
    assert set(found.loc[found["decoy"] == 0, "sequence"]) == set(PEPTIDES[2:])


def test_a_precursor_with_a_line_for_each_protein_is_searched_once_with_all(tmp_path):
    path = text_library(tmp_path / "library.tsv", rows=lambda t: pd.concat([t, t.assign(ProteinId="P2")]))
    found = read_as_given(path)
    assert list(found["proteins"]) == ["P1;P2"] * len(PEPTIDES)


REFUSED = {
    "empty": ({"rows": lambda t: t.iloc[:0]}, "holds no precursor"),
    "no retention times": ({"rows": lambda t: t.drop(columns="RT")}, "no retention times"),
    "only decoys": ({"rows": lambda t: t.assign(decoy=1)}, "All precursors of the library are decoys"),
    "no charges": ({"rows": lambda t: t.assign(PrecursorCharge="NA")}, "cannot be read"),
    "no intensities": ({"rows": lambda t: t.drop(columns="RelativeIntensity")}, "fragment_intensity"),
    "no sequences": ({"rows": lambda t: t.drop(columns="ModifiedPeptide")}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_a_text_library_without_what_every_search_needs_is_refused(tmp_path, options, words):
    with pytest.raises(LibraryError, match=words):
        read_as_given(text_library(tmp_path / "library.tsv", **options))


@pytest.mark.parametrize("name", ["library.parquet", "library.hdf"])
def test_files_that_are_no_library_are_refused(tmp_path, name):
    with pytest.raises(LibraryError, match=f"{name}' cannot be read"):
        read_as_given(text_library(tmp_path / name))


@pytest.mark.parametrize("predicted", [False, True])
def test_a_search_step_checks_the_library_that_it_is_given(tmp_path, predicted):
    path = text_library(tmp_path / "library.tsv", rows=lambda t: pd.concat([t, t.assign(RT=t["RT"] + 1)]))
    config = {
        "library_path": str(path),
        "general": {"use_gpu": False, "thread_count": 1},
        "library_prediction": {"enabled": predicted},
    }
    asked = []

    def check(library, predicted):
        asked.append(tuple(predicted))
        sound_library(library, predicted)

    step = host.make_step(tmp_path / "out", config, {}, {}, "transfer", check)
    if not predicted:
        step.load_library()
        targets = step.spectral_library.precursor_df.query("decoy == 0")
        assert sorted(targets["sequence"]) == sorted(PEPTIDES)
    else:
        assert len(host.precursors_to_predict(step, None, tmp_path)) == len(PEPTIDES)
    assert asked == [("rt", "ms2") if predicted else ()]


ARRAYS, IONS = "<binaryDataArrayList.*?</binaryDataArrayList>", "<selectedIonList.*?</selectedIonList>"
IN_LIST, BINARY = '(?<=ArrayList count="2">).*?(?=</binaryDataArrayList>)', "(?<=<binary>)[^<]+"
NO_UNIT = ' unitCvRef="UO" unitAccession="UO:0000031" unitName="minute"'
MENDED = {  # what is done to a file, what to the one that it is to be read like, what is told
    "seconds": (in_seconds, str, "times are in seconds: divided by 60 (60 spectra)"),
    "seconds by number": (lambda t: without(in_seconds(t), ' unitName="second"'), str, "by 60 (60 spectra)"),
    "no arrays": (lambda t: without(t, ARRAYS, 1), lambda t: without(t, BINARY, 2), "read as empty (1 spectra)"),
    "no arrays at all": (lambda t: without(t, ARRAYS), lambda t: without(t, BINARY), "read as empty (60 spectra)"),
    "an empty list": (lambda t: without(t, IN_LIST, 1), lambda t: without(t, BINARY, 2), "read as empty (1 spectra)"),
    "no selected ions": (lambda t: without(t, IONS), str, "the middle of the isolation window is taken (50 spectra)"),
    "no m/z of ions": (lambda t: without(t, "<[^<]*selected ion m/z[^>]*>"), str, "is taken (50 spectra)"),
    "minutes": (str, str, None),
    "no unit": (lambda t: without(t, NO_UNIT), str, None),
    "empty arrays": (lambda t: without(t, BINARY, 2), lambda t: without(t, BINARY, 2), None),
}


def read_mzml(path):
    data = MzMLReader()
    data.load_raw(str(path))
    return data


@pytest.mark.parametrize("case", MENDED)
def test_an_mzml_file_is_read_like_the_sound_one_and_the_log_tells_it_once(tmp_path, caplog, case):
    spoil, as_if, told = MENDED[case]
    path, sound, original = tmp_path / "a b.mzML", tmp_path / "sound.mzML", MzMLReader._import
    write_cycles(path)
    text = path.read_text()
    sound.write_text(as_if(text))
    path.write_text(spoil(text))
    expected = read_mzml(sound)
    with caplog.at_level(logging.INFO), mzml_is_mended():
        both = [read_mzml(path) for _ in range(2)]
    for found in both:
        pd.testing.assert_frame_equal(found.spectrum_df, expected.spectrum_df, rtol=1e-12)
        pd.testing.assert_frame_equal(found.peak_df, expected.peak_df)
    lines = [line for line in caplog.messages if str(path) in line]
    assert len(lines) == (told is not None)
    assert all(told in line for line in lines)
    assert MzMLReader._import is original
    assert set(tmp_path.iterdir()) == {sound, path}


def test_alphadia_itself_takes_seconds_for_minutes_and_needs_arrays(tmp_path):
    write_cycles(tmp_path / "a.mzML")
    text = (tmp_path / "a.mzML").read_text()
    rt = read_mzml(tmp_path / "a.mzML").spectrum_df["rt"]
    (tmp_path / "a.mzML").write_text(in_seconds(text))
    np.testing.assert_allclose(read_mzml(tmp_path / "a.mzML").spectrum_df["rt"], 60 * rt)
    (tmp_path / "a.mzML").write_text(without(text, ARRAYS, 1))
    with pytest.raises(TypeError):
        read_mzml(tmp_path / "a.mzML")


@pytest.mark.parametrize("old", ["</scanList>", "<binary>e", 'scan start time"'])
def test_damage_in_the_middle_of_a_file_is_a_named_error(tmp_path, old):
    write_cycles(tmp_path / "a.mzML")
    text = (tmp_path / "a.mzML").read_text()
    (tmp_path / "a.mzML").write_text("<x>".join(text.rsplit(old, 1)))
    with mzml_is_mended(), pytest.raises(CustomError, match="TL_DATA") as caught:
        read_mzml(tmp_path / "a.mzML")
    assert "a.mzML has a spectrum that is damaged" in caught.value.msg


def test_a_job_and_a_search_read_mzml_files_alike(tmp_path):
    path = tmp_path / "a.mzML"
    write_cycles(path)
    expected = read_mzml(path).spectrum_df
    path.write_text(in_seconds(path.read_text()))
    found = []
    step = SimpleNamespace(raw_path_list=[str(path)], config={"general": {}})
    step.run = lambda: found.append(read_mzml(path).spectrum_df)
    for first_pass in (True, False):
        assert host.search_run(step, str(path), first_pass=first_pass) is None
    for spectrum_df in found:
        pd.testing.assert_frame_equal(spectrum_df, expected, rtol=1e-12)
    assert len(found) == 2
