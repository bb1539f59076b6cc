"""The regenerated library passes through the steps of alphaDIA that prepare a library for the search."""

from __future__ import annotations

import numpy as np
import pytest
from alphadia.libtransform.base import ProcessingPipeline
from alphadia.libtransform.decoy import DecoyGenerator
from alphadia.libtransform.flatten import FlattenLibrary, InitFlatColumns
from alphadia.libtransform.harmonize import AnnotateFasta, IsotopeGenerator, PrecursorInitializer, RTNormalization
from alphadia.libtransform.loader import DynamicLoader

from alphadia_tl.speclib.regenerate import TunedModels, regenerate

from .conftest import FRAG_TYPES, MadePredictor, make_library, spectrum


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
