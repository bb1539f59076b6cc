from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_outputs import precursors, write_output, write_runs

from alphadia_tl.bundle import Bundle
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


def test_what_both_passes_have_and_each_alone_is_counted(tmp_path):
    first, final = tmp_path / "transfer", tmp_path
    write_runs(write_output(first, precursors(range(100))), precursors(range(104)))
    write_runs(write_output(final, precursors(range(100))), precursors(range(20, 134)))
    outcome = StepOutcome(Bundle(first), decisions=(Decision("rt", True, "because"),), provenance={"fdr": 0.01})
    outcome = finish_search(outcome, final)
    known = yaml.safe_load(outcome.bundle.provenance.read_text())
    assert known["between_passes"] == {"kept": 84, "gained": 30, "lost": 20}
    assert not [w for w in outcome.warnings if "gained" in w]


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
