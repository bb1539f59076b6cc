from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_outputs import precursors, write_output, write_runs

from alphadia_tl.bundle import Bundle
from alphadia_tl.entrapment.searches import AFTER_MBR
from alphadia_tl.models.gate import Decision
from alphadia_tl.search.passes import finish_search, spread
from alphadia_tl.step.outcome import StepOutcome


@pytest.mark.parametrize(("n_second", "warned"), [(96, False), (80, True)])
def test_a_pass_that_reports_fewer_is_held_against_what_the_protein_fdr_took_away(tmp_path, caplog, n_second, warned):
    first, final = tmp_path / "transfer", tmp_path
    write_runs(write_output(first, precursors(range(100))), precursors(range(104)))
    beyond = precursors(range(500, 600), **{"precursor.qval": 0.02})
    write_runs(write_output(final, precursors(range(n_second))), precursors(range(110)), beyond)
    outcome = StepOutcome(Bundle(first), decisions=(Decision("rt", True, "because"),), provenance={"fdr": 0.01})
    outcome = finish_search(outcome, final)
    identified = yaml.safe_load(outcome.bundle.provenance.read_text())["identified"]
    assert identified["first_pass"] == {"precursors": 100, "proteins": 25, "precursors_before_protein_fdr": 104}
    assert identified["second_pass"]["precursors_before_protein_fdr"] == 110
    fewer = [w for w in outcome.warnings if "reports 80 precursors, the one before 100" in w]
    assert bool(fewer) == warned == ("before the protein FDR they are 110 and 104" in caplog.text)
    assert all(str(first) in w for w in fewer)
    assert "before the protein FDR" in outcome.bundle.report.read_text()


def test_what_both_passes_have_and_each_alone_is_counted_with_its_error(tmp_path, caplog):
    caplog.set_level("INFO")
    first, final = tmp_path / "transfer", tmp_path
    decoys = [precursors(range(*r), **{"precursor.decoy": 1}) for r in ((500, 504), (502, 510))]
    write_runs(write_output(first, precursors(range(100))), precursors(range(104)), decoys[0])
    write_runs(write_output(final, precursors(range(100))), precursors(range(20, 134)), decoys[1])
    outcome = StepOutcome(Bundle(first), decisions=(Decision("rt", True, "because"),), provenance={"fdr": 0.01})
    outcome = finish_search(outcome, final)
    known = yaml.safe_load(outcome.bundle.provenance.read_text())["between_passes"]
    assert [known[name] for name in ("kept", "gained", "lost")] == [84, 30, 20]
    assert [known["errors"][name]["fdp_decoys"] for name in ("kept", "gained", "lost")] == [2 / 84, 6 / 30, 2 / 20]
    assert not [w for w in outcome.warnings if "gained" in w]
    assert "gained              : 30 precursors, wrong by decoys 20 % (" in caplog.text
    assert "by entrapment cannot be said" in caplog.text
    assert "Cannot be said: the config names no entrapment" in caplog.text
    page = outcome.bundle.report.read_text()
    assert "Cannot be said: the config names no entrapment" in page
    assert "20 % (" in page


def test_after_match_between_runs_the_final_tables_are_told(tmp_path, caplog):
    """Their errors cannot be said: the library of it has neither the decoys nor the entrapments of what is wrong."""
    caplog.set_level("INFO")
    first, final = tmp_path / "transfer", tmp_path
    decoys = precursors(range(500, 504), **{"precursor.decoy": 1})
    found = (precursors(range(100)), precursors(range(600, 604), proteins="E_{}"))
    write_runs(write_output(first, *found), *found, decoys)
    library = str(final / "library" / "speclib.mbr.hdf")
    write_runs(write_output(final, precursors(range(133)), library_path=library), precursors(range(140)), decoys)
    facts = {"fdr": 0.01, "alphadia_tl": {"entrapment": {"prefix": "E_", "design": "foreign"}}}
    outcome = finish_search(StepOutcome(Bundle(first), provenance=facts), final)
    known = yaml.safe_load(outcome.bundle.provenance.read_text())
    assert known["identified"]["first_pass"]["fdp"] == 8 / 104
    assert known["identified"]["second_pass"]["precursors"] == 133
    assert "fdp" not in known["identified"]["second_pass"]
    assert known["identified"]["second_pass"]["verdict"] == f"cannot be said: {AFTER_MBR}"
    between = known["between_passes"]
    assert [between[name] for name in ("kept", "gained", "lost")] == [100, 40, 4]
    assert between["errors"] == {"kept": {}, "gained": {}, "lost": {}}
    assert between["unknown"] == {"decoys": AFTER_MBR, "entrapment": AFTER_MBR}
    assert "match between runs  : 133 precursors" in caplog.text
    assert "after match between runs" in outcome.bundle.report.read_text()


@given(n=st.integers(1, 200), number=st.integers(1, 250))
def test_the_sample_is_spread_evenly_in_the_order_of_the_runs(n, number):
    runs = [f"run_{i}" for i in range(n)]
    chosen = spread(runs, number)
    assert len(chosen) == len(set(chosen)) == min(n, number)
    places = [runs.index(run) for run in chosen]
    assert places == sorted(places)
    if 1 < number < n:
        assert (places[0], places[-1]) == (0, n - 1)
        steps = [b - a for a, b in pairwise(places)]
        assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(("number", "expected"), [(None, "abcde"), (1, "c"), (2, "ae"), (3, "ace"), (9, "abcde")])
def test_a_few_of_five(number, expected):
    assert "".join(spread(list("abcde"), number)) == expected
