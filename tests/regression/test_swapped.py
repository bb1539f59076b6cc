import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase
from library.conftest import TYPES, make_precursors

from alphadia_tl.library.fragments import with_blocks
from alphadia_tl.speclib.storage import load_library, save_library
from regression.memorised import KEY
from regression.swapped import take_from_truth


def write(path, precursors, seed):
    generator = np.random.default_rng(seed)
    library = SpecLibBase(charged_frag_types=TYPES)
    times = generator.uniform(0, 1, len(precursors))
    library._precursor_df = with_blocks(
        precursors[[*KEY, "nAA"]].assign(rt_pred=times, rt_norm_pred=times, precursor_mz=500.0)
    )
    shape = (int(library._precursor_df["frag_stop_idx"].max()), len(TYPES))
    library._fragment_intensity_df = pd.DataFrame(generator.random(shape, dtype=np.float32), columns=TYPES)
    library._fragment_mz_df = pd.DataFrame(np.full(shape, 400.0), columns=TYPES)
    save_library(library, path)


def by_precursor(path):
    library = load_library(path)
    df, intensities = library._precursor_df, library._fragment_intensity_df.to_numpy()
    return {
        tuple(row[KEY]): (
            row["rt_pred"],
            row["rt_norm_pred"],
            intensities[row["frag_start_idx"] : row["frag_stop_idx"]],
        )
        for _, row in df.iterrows()
    }


@pytest.mark.parametrize("what", ["rt", "ms2"])
def test_one_property_comes_from_the_truth_and_the_rest_stays(tmp_path, what):
    precursors = make_precursors(40, np.random.default_rng(0))
    tuned, oracle, written = (tmp_path / f"{n}.hdf" for n in ("tuned", "oracle", "written"))
    write(tuned, precursors.head(30), seed=1)
    write(oracle, precursors.sample(frac=1, random_state=3), seed=2)

    take_from_truth(what, tuned, oracle, written)

    own, true, new = by_precursor(tuned), by_precursor(oracle), by_precursor(written)
    assert new.keys() == own.keys()
    for key, (rt, rt_norm, intensities) in new.items():
        times, spectra = (true, own) if what == "rt" else (own, true)
        assert (rt, rt_norm) == times[key][:2]
        assert (intensities == spectra[key][2]).all()


def test_a_truth_that_lacks_a_precursor_is_an_error(tmp_path):
    precursors = make_precursors(40, np.random.default_rng(0))
    write(tmp_path / "tuned.hdf", precursors, seed=1)
    write(tmp_path / "oracle.hdf", precursors.head(39), seed=2)
    with pytest.raises(ValueError, match="does not have each precursor"):
        take_from_truth("rt", tmp_path / "tuned.hdf", tmp_path / "oracle.hdf", tmp_path / "new.hdf")
