"""The library that is measured: copies of one, fragments and all."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
from alphabase.spectral_library.base import SpecLibBase

# Not imported: tests have a package of its name.
BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "exchange.py"))
tile, measure = BENCHMARK["tile"], BENCHMARK["measure"]


def test_a_tiled_library_holds_whole_copies_and_a_part_of_one(tmp_path):
    library = SpecLibBase(["b_z1", "y_z1"])
    library.precursor_df = pd.DataFrame({"sequence": ["PEPTK", "PEPTIDEK"], "mods": "", "mod_sites": "", "charge": 2})
    library.calc_precursor_mz()
    library.calc_fragment_mz_df()
    library._fragment_intensity_df = library._fragment_mz_df * 0 + 1
    library._precursor_df["rt_norm"] = [0.1, 0.2]
    library.save_hdf(str(tmp_path / "one.hdf"))
    tile(tmp_path / "one.hdf", tmp_path / "five.hdf", 5)
    tiled = SpecLibBase()
    tiled.load_hdf(str(tmp_path / "five.hdf"), load_mod_seq=True)
    assert tiled._precursor_df["sequence"].tolist() == [*["PEPTK", "PEPTIDEK"] * 2, "PEPTK"]
    rows = [library._fragment_mz_df.to_numpy()[part] for part in (slice(None), slice(None), slice(4))]
    np.testing.assert_array_equal(tiled._fragment_mz_df[["b_z1", "y_z1"]], np.concatenate(rows))
    facts = measure(tmp_path / "five.hdf", tmp_path / "out", "blib")
    assert (facts["precursors"], facts["fragments"]) == (5, 2 * (4 + 7 + 4 + 7 + 4))
