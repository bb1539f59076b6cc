"""A second pass that is wrong on purpose: its library knows by heart what a lenient search took for identifications.

This is where tuning on one's own hits ends when nothing holds it back: each wrong identification is predicted exactly
as it was seen, its decoy is not. An alarm that is silent here would be silent everywhere.
"""

from pathlib import Path
from typing import Any

import numpy as np
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.library.collect import Wanted, collect
from alphadia_tl.settings import TransferLibrarySettings
from alphadia_tl.speclib.storage import load_library, save_library

KEY = ["sequence", "mods", "mod_sites", "charge"]
LENIENT_FDR = 0.5
#: The first pass of the plugin at a lenient FDR; nothing is tuned and nothing searched again.
LENIENT: dict[str, Any] = {
    "alphadia_tl": {"enabled": True, "min_training_peptides": 10**7, "max_training_precursors": 10**7},
    "fdr": {"fdr": LENIENT_FDR},
}


def searched(library: Path) -> dict[str, Any]:
    """Return the config of a search of a finished library."""
    return {"library_path": str(library.resolve()), "library_prediction": {"enabled": False}}


def memorise(tuned: Path, lenient: Path, written: Path) -> int:
    """Write the tuned library with what a lenient pass saw in the place of predictions; return of how many precursors.

    Parameters
    ----------
    tuned : Path
        Library of the tuned models, whose times are on the scale of the run.
    lenient : Path
        Output folder of a search with `LENIENT`.
    written : Path
        File to write.
    """
    library = load_library(tuned)
    types = list(library._fragment_intensity_df.columns)
    folders = sorted((lenient / "transfer" / "quant").iterdir())
    seen = collect(
        folders,
        TransferLibrarySettings(top_k_samples=1),
        Wanted(types, fdr=LENIENT_FDR),
        fail_fast=True,
        generator=np.random.default_rng(0),
    )
    n = _learn_by_heart(library, seen.precursor_df, seen.fragment_intensity_df[types].to_numpy())
    save_library(library, written)
    return n


def _learn_by_heart(library: SpecLibBase, seen_df: Any, intensities: np.ndarray) -> int:
    columns = [*KEY, "rt_norm", "frag_start_idx", "frag_stop_idx"]
    df = library._precursor_df
    both = df.reset_index().merge(seen_df[columns], on=KEY, suffixes=("", "_seen"))
    rows, times = both["index"].to_numpy(), both["rt_norm_seen" if "rt_norm" in df else "rt_norm"].to_numpy()
    for column in ("rt", "rt_norm", "rt_pred", "rt_norm_pred"):
        if column in df:
            values = df[column].to_numpy(copy=True)
            values[rows] = times
            df[column] = values
    predicted = library._fragment_intensity_df.to_numpy(copy=True)
    ends = both[["frag_start_idx", "frag_stop_idx", "frag_start_idx_seen", "frag_stop_idx_seen"]].to_numpy(np.int64)
    for start, stop, seen_start, seen_stop in ends:
        block = intensities[seen_start:seen_stop]
        if block.max() > 0:
            predicted[start:stop] = block / block.max()
    library._fragment_intensity_df[:] = predicted
    return len(both)
