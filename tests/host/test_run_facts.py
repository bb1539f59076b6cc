import itertools
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.errors import QuantificationError
from alphadia_tl.host.run_facts import FILE_NAME, RunFacts, nce_warnings, observable_mz, read_run_facts, run_facts
from alphadia_tl.tasks.charge import observable_states

CYCLE = np.array([[-1.0, -1.0], [400.0, 410.0], [410.0, 420.0], [400.0, 410.0], [600.0, 700.0]]).reshape(1, 5, 1, 2)


def _raw(nce=None, **attributes):
    df = pd.DataFrame({"ms_level": [1, 2, 2, 2]})
    if nce is not None:
        df["nce"] = [0.0, *nce]
    return SimpleNamespace(cycle=CYCLE, spectrum_df=df, rt_values=np.array([0.5, 1800.0]), **attributes)


def test_facts_of_an_alpharaw_file():
    facts = run_facts("a", _raw([27.0, 27.0, 27.0], instrument="Astral"))
    windows = ((400.0, 410.0), (410.0, 420.0), (600.0, 700.0))
    assert facts == RunFacts("a", "Astral", (27.0, 27.0, 27.0), windows, (0.5, 1800.0))
    assert facts.precursor_mz == (400.0, 700.0)
    assert facts.line == (
        "Run a: instrument Astral, collision energy 27.0, 3 isolation windows from 400.0 to 700.0 m/z"
    )


@pytest.mark.parametrize("raw", [_raw(instrument="none"), _raw([np.nan] * 3), _raw([0.0] * 3), _raw()])
def test_nothing_is_said_of_what_the_file_does_not_hold(raw):
    facts = run_facts("a", raw)
    assert (facts.instrument, facts.nce) == (None, None)
    assert facts.line == "Run a: 3 isolation windows from 400.0 to 700.0 m/z"
    assert nce_warnings({"a": facts}, 30.0, "key") == []


def test_facts_of_a_timstof_file_have_no_spectrum_table():
    raw = SimpleNamespace(cycle=CYCLE, rt_values=np.array([]), meta_data={"InstrumentName": "timsTOF Pro"})
    assert run_facts("a", raw).instrument == "timsTOF Pro"


def test_facts_are_read_back_as_they_were_written(tmp_path):
    facts = {name: run_facts(name, raw) for name, raw in (("a", _raw([20.0, 27.0, 41.0])), ("b", _raw()))}
    for name, known in facts.items():
        (tmp_path / name).mkdir()
        known.write(tmp_path / name)
    (tmp_path / "c").mkdir()
    assert read_run_facts([tmp_path / n for n in "abc"]) == {**facts, "c": None}
    assert json.loads((tmp_path / "a" / FILE_NAME).read_text())["precursor_mz"] == [400.0, 700.0]


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"run": ')
    with pytest.raises(QuantificationError, match=FILE_NAME):
        read_run_facts([tmp_path])


def test_another_collision_energy_is_warned_of_once_per_value():
    facts = {f"run_{i}": RunFacts(f"run_{i}", nce=(v, v, v)) for i, v in enumerate([27.0, 31.9, 27.0, 35.0])}
    facts["rolling"] = RunFacts("rolling", nce=(20.0, 40.0, 60.0))
    facts["unknown"] = None
    first, second = nce_warnings(facts, 30.0, "library_prediction.nce")
    assert first == "2 run(s) were acquired with collision energy 27.0 (run_0, ...), but library_prediction.nce is 30.0"
    assert "35.0 (run_3)" in second


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([((300.0, 500.0),)], [(400.0, 500.0)]),
        ([((400.0, 500.0), (500.0, 600.0))], [(400.0, 600.0)]),
        ([((400.0, 500.0),), ((450.0, 700.0), (800.0, 2000.0))], [(400.0, 700.0), (800.0, 1200.0)]),
        ([((400.0, 500.0),), ()], [(400.0, 1200.0)]),
        ([((400.0, 500.0),), None], [(400.0, 1200.0)]),
        ([((100.0, 200.0),)], [(400.0, 1200.0)]),
        ([], [(400.0, 1200.0)]),
    ],
)
def test_observable_is_what_the_windows_of_any_run_cover_of_the_library(windows, expected):
    facts = {str(i): None if w is None else RunFacts(str(i), windows=w) for i, w in enumerate(windows)}
    assert observable_mz((400.0, 1200.0), facts) == expected


@given(st.lists(st.tuples(st.floats(300, 1500), st.floats(1, 100)), min_size=1), st.floats(400, 1200))
def test_an_mz_is_observable_if_and_only_if_a_window_covers_it(starts, mz):
    windows = tuple((low, low + width) for low, width in starts)
    merged = observable_mz((400.0, 1200.0), {"a": RunFacts("a", windows=windows)})
    covered = any(low <= mz <= high for low, high in windows)
    if any(low <= 1200 and high >= 400 for low, high in windows):
        assert any(low <= mz <= high for low, high in merged) == covered
    assert all(b > a for (_, a), (b, _) in itertools.pairwise(merged))


def test_a_charge_state_outside_all_windows_is_no_negative():
    peptide = pd.DataFrame({"sequence": ["SAMPLEPEPTIDEK"], "mods": [""], "mod_sites": [""]})
    everything = observable_states(peptide, (1, 4), (100.0, 2000.0))[0]
    assert everything.tolist() == [True] * 4 + [False] * 6
    # m/z 1528.7, 764.9, 510.2, 382.9 for charge 1 to 4
    in_windows = observable_states(peptide, (1, 4), [(380.0, 500.0), (700.0, 1600.0)])[0]
    assert in_windows.tolist() == [True, True, False, True] + [False] * 6
