"""The tuned library with one property from the truth: tells which model costs the identifications that are missing."""

from pathlib import Path

import numpy as np

from alphadia_tl.library.fragments import block_rows
from alphadia_tl.speclib.storage import load_library, save_library
from regression.memorised import KEY

TIMES = ("rt", "rt_norm", "rt_pred", "rt_norm_pred")


def take_from_truth(what: str, tuned: Path, oracle: Path, written: Path) -> None:
    """Write the tuned library with the intensities ("ms2") or times ("rt") of the library that the truth predicts.

    Raises
    ------
    ValueError
        When the truth does not predict every precursor of the tuned library.
    """
    library, truth = load_library(tuned), load_library(oracle)
    df, true_df = library._precursor_df, truth._precursor_df
    row = df[KEY].merge(true_df[KEY].assign(row=np.arange(len(true_df))), on=KEY, how="left")["row"].to_numpy()
    if len(row) != len(df) or np.isnan(row).any():
        raise ValueError(f"{oracle} does not have each precursor of {tuned} once.")
    found = true_df.iloc[row.astype(np.int64)]
    if what == "rt":
        source = next(c for c in ("rt_norm_pred", "rt_norm", "rt_pred", "rt") if c in true_df)
        for column in (c for c in TIMES if c in df):
            df[column] = found[column if column in found else source].to_numpy(dtype=df[column].dtype)
    else:
        types = list(library._fragment_intensity_df.columns)
        own, true = (
            block_rows(d["frag_start_idx"].to_numpy(np.int64), d["frag_stop_idx"].to_numpy(np.int64))
            for d in (df, found)
        )
        intensities = library._fragment_intensity_df.to_numpy(copy=True)
        intensities[own] = truth._fragment_intensity_df[types].to_numpy()[true]
        library._fragment_intensity_df[:] = intensities
    save_library(library, written)
