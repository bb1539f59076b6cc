import numpy as np
import pytest

from alphadia_tl.speclib.storage import LibraryValues
from speclib.conftest import FRAG_TYPES

KEY = ["sequence", "mods", "mod_sites", "charge"]


def test_values_are_found_by_precursor_whatever_the_order(library):
    df = library._precursor_df
    wanted = df[KEY].sample(frac=0.5, random_state=1)
    own = LibraryValues(library, FRAG_TYPES)
    np.testing.assert_allclose(own.of("rt", wanted), df.loc[wanted.index, "rt_pred"])
    np.testing.assert_allclose(own.of("ccs", wanted), df.loc[wanted.index, "ccs_pred"], rtol=1e-4)
    table = library._fragment_intensity_df[list(FRAG_TYPES)].to_numpy()
    spans = df.loc[wanted.index, ["frag_start_idx", "frag_stop_idx"]].to_numpy()
    np.testing.assert_allclose(own.of("ms2", wanted), np.concatenate([table[a:b] for a, b in spans]))


@pytest.mark.parametrize("model", ["rt", "ccs", "ms2"])
def test_a_precursor_that_the_library_does_not_have_is_unknown(library, model):
    wanted = library._precursor_df[KEY].head(3).copy()
    wanted.loc[1, "charge"] = 6
    values = LibraryValues(library, FRAG_TYPES).of(model, wanted)
    rows = np.arange(3) if model != "ms2" else np.repeat(np.arange(3), wanted["sequence"].str.len() - 1)
    assert np.isnan(values[rows == 1]).all()
    assert np.isfinite(values[rows != 1]).all()


def test_the_search_and_the_comparison_take_the_same_times(library):
    library._precursor_df["rt_library"] = 7.0
    assert (LibraryValues(library, FRAG_TYPES).of("rt", library._precursor_df[KEY]) == 7.0).all()


def test_a_library_without_times_mobilities_or_fragments_says_nothing(library):
    df = library._precursor_df
    library._precursor_df = df.drop(columns=["rt_pred", "rt_norm_pred", "mobility_pred"])
    library._fragment_intensity_df *= 0
    own = LibraryValues(library, FRAG_TYPES)
    for model in ("rt", "ccs", "ms2"):
        assert np.isnan(own.of(model, df[KEY])).all()


def test_mobilities_of_zero_are_no_mobilities(library):
    library._precursor_df["mobility_pred"] = 0.0
    assert np.isnan(LibraryValues(library, FRAG_TYPES).of("ccs", library._precursor_df[KEY])).all()


def test_fragment_types_that_the_library_leaves_out_are_zero(library):
    types = [*FRAG_TYPES, "y_modloss_z1"]
    values = LibraryValues(library, types).of("ms2", library._precursor_df[KEY])
    assert (values[:, -1] == 0).all()
    assert (values[:, :-1].max(axis=0) > 0).all()
