import numpy as np
import pandas as pd
import pytest
from alphadia.libtransform.fasta_digest import FastaDigest
from alphadia.libtransform.prediction import PeptDeepPrediction
from made_models import write_networks, write_zip
from peptdeep.settings import global_settings

from alphadia_tl import host
from alphadia_tl.host.hooks import prediction_class
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.simulate.sample import random_proteome

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
