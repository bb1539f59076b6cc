import numpy as np
import pandas as pd
import pytest

from alphadia_tl.errors import QuantificationError
from alphadia_tl.library.sites import LEAST_MARGIN, judge_sites, read_sites, without_ambiguous, write_sites

PHOSPHO = ("ASTSK", "Phospho@S")


def proba(odds):
    """Return the probability of being wrong at log odds of being right."""
    return 1 / (1 + np.exp(odds))


def rows(*observed):
    """Make candidates: site, log odds, seconds; and whatever else is not as for the others."""
    made = []
    for site, odds, seconds, *more in observed:
        row = {"sequence": "ASTSK", "mods": "Phospho@T" if site == 3 else "Phospho@S", "mod_sites": str(site)}
        row |= {"charge": 2, "group": 7, "rt_observed": seconds, "fwhm_rt": 4.0, "proba": proba(odds)}
        made.append(row | (more[0] if more else {}))
    return pd.DataFrame(made)


CLEAR, CLOSE = LEAST_MARGIN + 1, LEAST_MARGIN / 2


@pytest.mark.parametrize(
    ("others", "isomer", "margin"),
    [
        pytest.param([(4, 5 - CLOSE, 101)], "4", CLOSE, id="about_as_good_at_the_time"),
        pytest.param([(4, 5 - CLEAR, 101)], "4", CLEAR, id="much_worse_at_the_time"),
        pytest.param([(4, 6, 101)], "4", -1, id="better_at_the_time"),
        pytest.param([(4, 5, 120)], "", None, id="another_peak"),
        pytest.param([(3, 5 - CLOSE, 99)], "3", CLOSE, id="on_another_residue"),
        pytest.param([(3, 5 - CLEAR, 99), (4, 5 - CLOSE, 101)], "4", CLOSE, id="the_best_of_three"),
        pytest.param([(4, 6, 130), (4, 5 - CLEAR, 101)], "4", CLEAR, id="its_other_peak_does_not_count"),
        pytest.param([(4, np.nan, 101)], "", None, id="an_isomer_without_score"),
        pytest.param([(2, 9, 101)], "", None, id="its_own_other_candidate"),
        pytest.param([(4, 5, 101, {"charge": 3, "group": 8})], "", None, id="another_charge"),
        pytest.param([(4, 5, 109, {"fwhm_rt": 12.0})], "4", 0, id="a_wide_peak_reaches_far"),
    ],
)
def test_the_margin_is_that_over_the_best_isomer_in_the_same_peak(others, isomer, margin):
    candidates = rows((2, 5, 100), *others)
    judged = judge_sites(rows((2, 5, 100)), candidates)
    assert judged["site_isomer"].tolist() == [isomer]
    assert judged["site_margin"].tolist() == pytest.approx(
        [np.nan if margin is None else margin], nan_ok=True, abs=1e-5
    )
    assert judged["site_ambiguous"].tolist() == [margin is not None and margin < LEAST_MARGIN]


def test_what_has_no_isomer_in_the_library_is_not_judged():
    found = rows((2, 5, 100), (3, 5, 300)).assign(sequence=["ASTSK", "GGTSK"])
    assert judge_sites(found, rows((2, 5, 100), (4, 5, 100))).index.tolist() == [0]


def test_two_that_were_both_found_in_one_peak_are_both_ambiguous():
    both = rows((2, 5, 100), (4, 5.5, 101))
    assert judge_sites(both, both)["site_ambiguous"].tolist() == [True, True]


def test_a_precursor_without_a_score_beside_an_isomer_is_ambiguous():
    judged = judge_sites(rows((2, np.nan, 100)), rows((2, np.nan, 100), (4, 5, 100)))
    assert judged["site_margin"].isna().all()
    assert judged["site_ambiguous"].all()


def test_probabilities_at_the_ends_give_a_finite_margin():
    found = rows((2, 5, 100)).assign(proba=0.0)
    candidates = pd.concat([found, rows((4, 5, 100)).assign(proba=1.0)])
    assert np.isfinite(judge_sites(found, candidates)["site_margin"]).all()


def test_modifications_in_another_order_are_the_same_peptidoform():
    one = {"mods": "Phospho@S;Oxidation@M", "mod_sites": "2;4"}
    other = {"mods": "Oxidation@M;Phospho@S", "mod_sites": "4;2"}
    judged = judge_sites(rows((2, 5, 100, one)), rows((2, 5, 100, one), (2, 5, 100, other)))
    assert judged["site_isomer"].tolist() == [""]


@pytest.fixture
def search(tmp_path):
    """A search of two runs, of which one has noted isomers: one ambiguous, one clear, one decoy."""
    found = rows((2, 5, 100), (4, 9, 200), (3, 5, 300))
    found = found.assign(decoy=[0, 0, 1], qval=0.005, proteins="P").drop(columns="group")
    for run in ("a", "b"):
        folder = tmp_path / "quant" / run
        folder.mkdir(parents=True)
        found.to_parquet(folder / "psm.parquet")
    candidates = rows((2, 5, 100), (4, 5, 100), (4, 9, 200), (2, 9 - CLEAR, 200), (3, 5, 300), (2, 5, 300))
    candidates.to_parquet(tmp_path / "quant" / "a" / "isomers.parquet")
    return tmp_path


def test_the_targets_of_the_runs_that_noted_isomers_are_told(search):
    sites = read_sites(search, 0.01)
    assert sites["run"].unique().tolist() == ["a"]
    assert dict(zip(sites["mod_sites"], sites["site_ambiguous"], strict=True)) == {"2": True, "4": False}
    write_sites(search / "sites.tsv", sites)
    assert len(pd.read_csv(search / "sites.tsv", sep="\t")) == 2


def test_a_search_without_isomers_says_nothing_and_an_older_table_goes(search):
    (search / "quant" / "a" / "isomers.parquet").unlink()
    write_sites(search / "sites.tsv", pd.DataFrame({"a": [1]}))
    assert read_sites(search, 0.01) is None
    write_sites(search / "sites.tsv", None)
    assert not (search / "sites.tsv").exists()
    found = rows((2, 5, 100))
    assert without_ambiguous(found, search / "quant" / "b") is found


def test_what_is_ambiguous_is_not_learnt_from(search, caplog):
    caplog.set_level("INFO")
    kept = without_ambiguous(rows((2, 5, 100), (4, 9, 200)), search / "quant" / "a")
    assert kept["mod_sites"].tolist() == ["4"]
    assert "1 of 2 precursors" in caplog.text


@pytest.mark.parametrize("content", [b"", b"PAR1 no"])
def test_a_table_that_cannot_be_read_is_named(search, content):
    path = search / "quant" / "a" / "isomers.parquet"
    path.write_bytes(content)
    with pytest.raises(QuantificationError, match=r"isomers.parquet"):
        read_sites(search, 0.01)


def test_a_run_in_which_no_precursor_with_isomers_was_found_is_read(search):
    path = search / "quant" / "a" / "isomers.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    assert read_sites(search, 0.01) is None
    found = rows((2, 5, 100))
    assert without_ambiguous(found, search / "quant" / "a") is found
