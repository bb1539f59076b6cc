import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_without_the_measured_data_it_says_so_and_ends(tmp_path):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "finetune_real.py", "--quick", "--results", tmp_path / "x.jsonl"],
        env=os.environ | {"ALPHADIA_TL_DATA": str(tmp_path / "absent")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("Skipped: the measured data is not at ")


def table(n=60, seed=0):
    from finetuning.domains import FRAG_TYPES, Table

    rng = np.random.default_rng(seed)
    sequences = ["".join(rng.choice(list("ACDEFGHIK"), rng.integers(7, 12))) for _ in range(n)]
    df = pd.DataFrame({"sequence": sequences, "mods": "", "mod_sites": "", "charge": rng.integers(2, 4, n)})
    df["nAA"] = df["sequence"].str.len()
    df["rt_norm"] = rng.uniform(0, 1, n)
    df["frag_stop_idx"] = (df["nAA"] - 1).cumsum()
    df["frag_start_idx"] = df["frag_stop_idx"] - df["nAA"] + 1
    values = rng.uniform(0.1, 1, (int(df["frag_stop_idx"].iloc[-1]), 4)).astype(np.float32)
    return Table(df, pd.DataFrame(values, columns=FRAG_TYPES), pd.DataFrame(values > 0, columns=FRAG_TYPES))


def test_selected_rows_keep_their_own_fragments():
    made = table()
    rows = np.array([7, 3, 30])
    chosen = made.select(rows)
    for new, old in enumerate(rows):
        first, second = (
            t.fragments.iloc[t.df["frag_start_idx"].iloc[i] : t.df["frag_stop_idx"].iloc[i]].to_numpy()
            for t, i in ((chosen, new), (made, old))
        )
        np.testing.assert_array_equal(first, second)
    assert len(chosen.fragments) == (chosen.df["nAA"] - 1).sum()


@pytest.mark.parametrize(("model", "column"), [("rt", "rt_norm"), ("charge", "charge")])
def test_spoiling_makes_the_wanted_share_of_rows_wrong(model, column):
    from finetuning.spoil import spoil

    made = table()
    changed = spoil(made, model, 0.1, seed=1).df
    assert (changed[column].to_numpy() != made.df[column].to_numpy()).sum() == 6


def test_spoiling_shuffles_spectra_without_changing_their_values():
    from finetuning.spoil import spoil

    made = table()
    changed = spoil(made, "ms2", 0.1, seed=1)
    different = 0
    for start, stop in made.df[["frag_start_idx", "frag_stop_idx"]].to_numpy():
        before, after = made.fragments.iloc[start:stop].to_numpy(), changed.fragments.iloc[start:stop].to_numpy()
        np.testing.assert_array_equal(np.sort(before, axis=None), np.sort(after, axis=None))
        different += not np.array_equal(before, after)
    assert different == 6


def test_stock_gets_the_settings_that_its_config_gives_it():
    from finetuning.tuners import stock_settings

    assert stock_settings()["max_lr"] == 1e-4
    assert stock_settings()["batch_size"] == 2000


def test_alphadias_tuner_neither_learns_nor_stops_by_what_was_not_measured():
    import torch
    from finetuning.tuners import UNMEASURED, leave_out_unmeasured

    class Stock:
        ms2_model = type("Model", (), {})()

        def _evaluate_metrics(self, test_input, *args):
            return test_input

    stock = Stock()
    leave_out_unmeasured(stock)
    target = torch.tensor([1.0, UNMEASURED, 0.25])
    losses = [stock.ms2_model.loss_func(torch.tensor([0.5, wild, 0.25]), target) for wild in (0.0, 9.0)]
    assert losses == [0.25, 0.25]
    df = pd.DataFrame({"frag_start_idx": [0, 2], "frag_stop_idx": [2, 3]})
    target = pd.DataFrame({"b_z1": [UNMEASURED, 0.5, 1.0], "y_z1": [1.0, 0.0, UNMEASURED]})
    predicted = pd.DataFrame({"b_z1": [1.0, 0.25, 0.5], "y_z1": [0.5, 0.125, 1.0]})
    seen = stock._evaluate_metrics({"psm_df": df, "predicted": predicted, "target": target}, 1)
    assert seen["target"].to_numpy().tolist() == [[0, 1], [0.5, 0], [1, 0]]
    assert seen["predicted"].to_numpy().tolist() == [[0, 1], [0.5, 0.25], [1, 0]]
