import numpy as np
import pandas as pd
from alphabase.spectral_library.base import SpecLibBase
from library.conftest import TYPES, make_precursors, write_run

from alphadia_tl.library.fragments import with_blocks
from alphadia_tl.speclib.storage import load_library, save_library
from regression.memorised import KEY, memorise


def test_what_was_seen_takes_the_place_of_predictions_and_the_rest_stays(tmp_path):
    precursors = make_precursors(40, np.random.default_rng(0))
    run = write_run(tmp_path / "lenient" / "transfer" / "quant" / "run_1", precursors.head(30), seed=1)
    library = SpecLibBase(charged_frag_types=TYPES)
    library._precursor_df = with_blocks(
        precursors[[*KEY, "nAA"]].assign(rt_pred=0.5, rt_norm_pred=0.5, precursor_mz=500.0)
    )
    shape = (int(library._precursor_df["frag_stop_idx"].max()), len(TYPES))
    library._fragment_intensity_df = pd.DataFrame(np.full(shape, 0.3, np.float32), columns=TYPES)
    library._fragment_mz_df = pd.DataFrame(np.full(shape, 400.0), columns=TYPES)
    save_library(library, tmp_path / "tuned.hdf")

    n = memorise(tmp_path / "tuned.hdf", tmp_path / "lenient", tmp_path / "new.hdf")

    written = load_library(tmp_path / "new.hdf")
    df = written._precursor_df.merge(run.psm[[*KEY, "rt_observed"]], on=KEY, how="left")
    seen = df["rt_observed"].notna()
    assert n == seen.sum() == 30
    assert (df.loc[~seen, ["rt_pred", "rt_norm_pred"]] == 0.5).all(axis=None)
    assert np.corrcoef(df.loc[seen, "rt_pred"], df.loc[seen, "rt_observed"])[0, 1] > 0.9999
    for start, stop, was_seen in zip(df["frag_start_idx"], df["frag_stop_idx"], seen, strict=True):
        block = written._fragment_intensity_df.to_numpy()[start:stop]
        assert block.max() == (1.0 if was_seen else np.float32(0.3))
