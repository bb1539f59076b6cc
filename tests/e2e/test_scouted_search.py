"""A search whose first pass is of a part of the library."""

import pandas as pd
import pytest

from e2e.support import ENTRAPMENT, ON, QUICK_TUNING

pytestmark = [pytest.mark.slow, pytest.mark.regression]


def test_a_part_of_a_large_library_is_scouted_and_all_of_it_searched(search):
    large = {"library_prediction": {"missed_cleavages": 2, "max_var_mod_num": 2}}
    scout = {"alphadia_tl": {"scout": 300, "models": ["rt", "ms2"]}}  # half of the library brings more
    killed = [("The final pass searches",)]
    found = search(ON, QUICK_TUNING, ENTRAPMENT, scout, large, kills=killed, name="scouted")
    assert found.code == 0, found.log[-3000:]
    first, told = found.folder / "transfer", found.provenance()
    digest = pd.read_parquet(first / "digest.precursors.parquet")
    scouted = set(pd.read_parquet(first / "quant" / "run_1" / "psm.parquet")["sequence"])
    assert told["scout"]["library"] == len(digest) == told["regeneration"]["precursors_after"]
    assert "Reused, the first pass" in found.log
    assert "Reused, the digest" in found.log
    final = pd.read_parquet(found.folder / "quant" / "run_1" / "psm.parquet")["sequence"]
    assert scouted < set(final) or final.isin(scouted).mean() < 0.7
    between = told["between_passes"]
    assert between["kept"] > between["lost"] > 0
    counts = [told["identified"][name]["precursors_before_protein_fdr"] for name in ("first_pass", "second_pass")]
    assert counts[0] == between["kept"] + between["lost"]
    assert between["kept"] + between["gained"] < counts[1]
    assert "searched before tuning, too" in (first / "report.html").read_text()
