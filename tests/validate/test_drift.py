import dataclasses
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphadia_tl import rounds
from alphadia_tl.bundle import Bundle
from alphadia_tl.gate import Decision
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.validate.drift import DriftLimits, alarms, measure, measure_folders
from alphadia_tl.validate.drift_figures import separation, tail_decoys

AMINO_ACIDS = np.array(list("ADEFGHILMNPQSTVWY"))
LENGTHS = {2: (7, 15), 3: (14, 25)}  # of made peptides of a charge
GRADIENT = 600.0


def rows(number, *, seed=0, decoy=0, proba=(1e-6, 0.05), rt_error=5.0, lengths=LENGTHS, run="run_1"):
    """Made precursors; `proba` is a range, drawn on a log scale; `rt_error` in seconds, None for a random time."""
    draw = np.random.default_rng(seed)
    charge = draw.choice(list(lengths), number)
    expected = draw.uniform(0, GRADIENT, number)
    observed = draw.uniform(0, GRADIENT, number) if rt_error is None else expected + draw.normal(0, rt_error, number)
    return pd.DataFrame(
        {
            "sequence": ["".join(draw.choice(AMINO_ACIDS, draw.integers(*lengths[c]))) + "K" for c in charge],
            "charge": charge,
            "mods": "",
            "mod_sites": "",
            "decoy": decoy,
            "proba": np.exp(draw.uniform(*np.log(proba), number)),
            "rt_observed": observed,
            "rt_calibrated": expected,
            "run": run,
        }
    )


def a_pass(*parts):
    return pd.concat(parts, ignore_index=True)


SHARED = rows(1000, seed=1)
DECOYS = rows(15, seed=2, decoy=1, proba=(0.02, 0.2), rt_error=None)
FIRST = a_pass(SHARED, rows(50, seed=3), DECOYS)
HEALTHY = a_pass(
    SHARED,
    rows(200, seed=4, proba=(1e-5, 0.1), rt_error=5.5),
    rows(16, seed=5, decoy=1, proba=(0.02, 0.2), rt_error=None),
)


def test_a_healthy_pair_raises_no_alarm_and_is_counted():
    figures = measure(FIRST, HEALTHY)
    assert alarms(figures) == []
    assert (figures.n_first, figures.n_second) == (1050, 1200)
    assert (figures.n_shared, figures.n_gained, figures.n_lost) == (1000, 200, 50)
    assert (figures.decoys_first, figures.decoys_second) == (15, 16)
    assert figures.growth == pytest.approx(1200 / 1050)


GOOD_DECOYS = rows(60, seed=6, decoy=1, proba=(1e-6, 0.2), rt_error=None)
UNUSUAL = {2: (25, 30), 3: (7, 10)}
DRIFTED = {
    "1,800 precursors after 1,050": a_pass(SHARED, rows(800, seed=7), DECOYS),
    "targets score better than decoys in": a_pass(SHARED, rows(200, seed=8, proba=(0.02, 0.2)), GOOD_DECOYS),
    "of the worst quarter by score": a_pass(SHARED, rows(200, seed=9, proba=(0.02, 0.2)),
                                            rows(60, seed=10, decoy=1, proba=(0.02, 0.2))),
    "gained precursors elute within": a_pass(SHARED, rows(200, seed=11, rt_error=None), DECOYS),
    "have a length that is usual for": a_pass(SHARED, rows(200, seed=12, lengths=UNUSUAL), DECOYS),
}  # fmt: skip


@pytest.mark.parametrize("text", DRIFTED)
def test_each_sign_of_wrong_gained_precursors_raises_its_alarm(text):
    found = alarms(measure(FIRST, DRIFTED[text]))
    assert len([t for t in found if text in t]) == 1, found
    assert all(t.startswith("Drift: ") and "entrapment" in t for t in found)


def test_wrong_gained_precursors_with_all_signs_raise_all_alarms():
    wrong = rows(800, seed=13, proba=(0.02, 0.2), rt_error=None, lengths=UNUSUAL)
    found = alarms(measure(FIRST, a_pass(SHARED, wrong, rows(300, seed=14, decoy=1, proba=(0.02, 0.2)))))
    assert len(found) == len(DRIFTED)
    assert all(any(text.split(" precursors after")[-1] in t for t in found) for text in list(DRIFTED)[1:])


def test_wrong_precursors_that_replace_as_many_wrong_ones_raise_no_alarm():
    """As at the edge of the FDR, where every search accepts other wrong ones."""
    first, second = (a_pass(SHARED, rows(150, seed=s, rt_error=None), DECOYS) for s in (20, 21))
    figures = measure(first, second)
    assert figures.rt_agreement_gained < 0.2
    assert figures.rt_agreement_lost < 0.2
    assert figures.misplaced_growth == pytest.approx(0, abs=0.01)
    assert alarms(figures) == []


@pytest.mark.parametrize(("n_first", "n_second"), [(99, 1000), (1000, 99), (0, 500), (500, 0), (0, 0)])
def test_too_few_precursors_raise_no_alarm(n_first, n_second):
    first, second = (a_pass(rows(n, seed=s, rt_error=None), DECOYS) for n, s in ((n_first, 1), (n_second, 2)))
    assert alarms(measure(first, second)) == []


def test_too_few_gained_precursors_and_decoys_are_not_judged():
    second = a_pass(SHARED, rows(29, seed=15, rt_error=None, lengths=UNUSUAL), GOOD_DECOYS[:9])
    assert alarms(measure(FIRST, second)) == []
    assert len(alarms(measure(FIRST, second), DriftLimits(min_gained=29, max_misplaced_growth=0.02))) == 2


def test_alarms_keep_to_the_limits_they_are_given():
    drifted = DRIFTED["gained precursors elute within"]
    assert alarms(measure(FIRST, drifted), DriftLimits(max_misplaced_growth=1.0)) == []


@pytest.mark.parametrize(
    "change", [{"min_precursors": 0}, {"max_growth": 0.9}, {"max_misplaced_growth": 1.1}, {"max_separation_loss": -0.1}]
)
def test_impossible_limits_are_refused(change):
    with pytest.raises(ValueError, match="impossible limits"):
        DriftLimits(**change)


def test_the_same_peptide_in_another_run_is_gained_there():
    other = SHARED.assign(run="run_2")
    figures = measure(a_pass(SHARED, other[:500]), a_pass(SHARED, other))
    assert (figures.n_shared, figures.n_gained) == (1500, 500)


def test_integer_types_of_charges_do_not_matter():
    figures = measure(FIRST.astype({"charge": "int8"}), FIRST.astype({"charge": "uint8"}))
    assert figures.n_gained == 0


def test_without_calibrated_times_nothing_is_said_about_times():
    figures = measure(FIRST, HEALTHY.drop(columns="rt_calibrated"))
    assert figures.rt_agreement_gained is None
    assert figures.growth is not None


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="do not add up"):
        dataclasses.replace(measure(FIRST, HEALTHY), n_gained=1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), min_size=1, max_size=30))
def test_separation_is_the_share_of_pairs_in_order(made):
    psm = pd.DataFrame(made, columns=["decoy", "proba"]).astype({"decoy": int, "proba": float})
    pairs = [
        (target < decoy) + (target == decoy) / 2
        for target in psm.loc[psm.decoy == 0, "proba"]
        for decoy in psm.loc[psm.decoy == 1, "proba"]
    ]
    expected = pytest.approx(np.mean(pairs)) if pairs else None
    assert separation(psm)[0] == expected


def test_the_error_of_the_separation_is_what_repeated_draws_scatter_by():
    draw = np.random.default_rng(0)

    def passes():
        target, decoy = draw.normal(0, 1, 400), draw.normal(1, 1, 30)
        return pd.DataFrame({"decoy": [0] * 400 + [1] * 30, "proba": [*target, *decoy]})

    chances, errors = zip(*(separation(passes()) for _ in range(400)), strict=True)
    assert np.mean(errors) == pytest.approx(np.std(chances), rel=0.1)


def test_the_alarm_says_how_much_the_separation_scatters():
    drifted = measure(FIRST, DRIFTED["targets score better than decoys in"])
    assert f"standard error of the difference {drifted.separation_error:.1%}" in " ".join(alarms(drifted))


@pytest.mark.parametrize("made", [[], [0, 0], [1, 1]])
def test_there_is_no_separation_without_targets_and_decoys(made):
    assert separation(pd.DataFrame({"decoy": made, "proba": [0.1] * len(made)})) == (None, None)


def test_the_tail_is_the_worst_quarter():
    psm = pd.DataFrame({"decoy": [0, 0, 0, 0, 0, 1, 0, 1], "proba": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]})
    assert tail_decoys(psm) == 0.5
    assert tail_decoys(psm[:0]) is None


def write_pass(folder, psm):
    for run, part in psm.groupby("run"):
        path = folder / "quant" / run / "psm.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.drop(columns="run").to_parquet(path)


def test_folders_are_compared_over_the_runs_that_both_have(tmp_path):
    write_pass(tmp_path / "one", a_pass(FIRST, FIRST.assign(run="failed_later")))
    write_pass(tmp_path / "two", HEALTHY)
    assert measure_folders(tmp_path / "one", tmp_path / "two") == measure(FIRST, HEALTHY)


def finished_round(folder):
    return StepOutcome(Bundle(folder / "transfer"), decisions=[Decision("rt", True, "because")])


@pytest.mark.parametrize(
    ("second", "n_alarms"), [(HEALTHY, 0), (DRIFTED["gained precursors elute within"], 1)], ids=["healthy", "drifted"]
)
def test_the_passes_around_a_round_are_watched(tmp_path, caplog, second, n_alarms):
    write_pass(tmp_path / "transfer", FIRST)
    write_pass(tmp_path, second)
    outcome = finished_round(tmp_path)
    with caplog.at_level(logging.WARNING):
        rounds.finish_rounds([outcome], tmp_path)
    assert len(outcome.warnings) == n_alarms == caplog.text.count("Drift: ")
    assert outcome.provenance["drift"]["figures"]["n_gained"] == 200
    assert outcome.provenance["drift"]["alarms"] == outcome.warnings
    assert "drift:" in outcome.bundle.provenance.read_text()


def test_reused_quantification_is_not_watched(tmp_path):
    write_pass(tmp_path / "transfer", FIRST)
    outcome = finished_round(tmp_path)
    rounds.finish_rounds([outcome], tmp_path)
    assert outcome.warnings == []
    assert "drift" not in outcome.provenance


def test_a_damaged_table_costs_a_warning_and_no_result(tmp_path):
    write_pass(tmp_path / "transfer", FIRST)
    write_pass(tmp_path, HEALTHY)
    (tmp_path / "quant" / "run_1" / "psm.parquet").write_text("damaged")
    outcome = finished_round(tmp_path)
    rounds.finish_rounds([outcome], tmp_path)
    assert "not measured" in outcome.warnings[0]
    assert outcome.bundle.report.exists()
