"""Facts of a made run in which everything happened: accepted, rejected and skipped models, a warning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def made_history(models=("rt", "charge", "ms2"), epochs=18) -> pd.DataFrame:
    rows = []
    for m, model in enumerate(models):
        rows += [(-1, model, "validation", "val_loss", 0.3 + m), (-1, model, "test", "r", 0.9)]
        for epoch in range(epochs):
            loss = (0.3 + m) * np.exp(-epoch / 5) + 0.05
            rows += [
                (epoch, model, "train", "train_loss", loss * 0.9),
                (epoch, model, "train", "lr", min(1, (epoch + 1) / 5) * 4e-4 * (0.5 if epoch > 11 else 1)),
                (epoch, model, "validation", "val_loss", loss + 0.001 * max(0, epoch - 12) ** 2),
            ]
    return pd.DataFrame(rows, columns=["epoch", "property", "data_split", "metric_name", "value"])


def made_facts():
    peptides = {"train": 8123, "validation": 2320, "test": 1161}
    return {
        "decisions": [
            {"model": "rt", "accepted": True, "headline": "median_abs_error_calibrated", "higher_is_better": False,
             "before": 0.02317, "after": 0.00912, "interval": (0.0129, 0.0151), "n_peptides": peptides,
             "reason": "tuned model used: median_abs_error_calibrated 0.0232 -> 0.0091 on 1161 held-out peptides"},
            {"model": "charge", "accepted": False, "headline": "ce_loss", "higher_is_better": False, "before": 0.1712,
             "after": 0.1709, "interval": (-0.0011, 0.0016), "n_peptides": peptides,
             "reason": "pretrained model kept: ce_loss 0.1712 -> 0.1709; the improvement may be chance"},
            {"model": "ms2", "accepted": True, "headline": "SA-median", "higher_is_better": True, "before": 0.712,
             "after": 0.791, "interval": (0.071, 0.086), "n_peptides": peptides, "reason": "tuned model used"},
            {"model": "ccs", "accepted": False, "reason": "pretrained model kept: the data has no ion mobility",
             "headline": "", "higher_is_better": False, "before": None, "after": None, "interval": None,
             "n_peptides": None},
        ],
        "training": {
            "rt": {"stop_reason": "not improving", "best_epoch": 12, "epochs": 18, "seconds": 83.2},
            "charge": {"stop_reason": "rising", "best_epoch": -1, "epochs": 18, "seconds": 41.0},
            "ms2": {"stop_reason": "maximum number of epochs", "best_epoch": 12, "epochs": 18, "seconds": 605.0},
        },
        "history": made_history(),
        "identified": {
            "first_pass": {"precursors": 16412, "proteins": 2310},
            "second_pass": {"precursors": 18950, "proteins": 2498},
        },
        "runs": ["lab_1.hdf", "lab_2.hdf"],
        "transfer_library": {"runs": 2, "runs_left_out": 1, "observations": 18750, "precursors": 12700,
                             "peptides": 11604, "masked_fraction": 0.1873, "charges": {2: 11000, 3: 6500, 4: 1250}},
        "regeneration": {"accepted": ["rt", "ms2"], "precursors_before": 77120, "precursors_after": 77120,
                         "charge_cutoff": None, "correlation": {"rt": 0.981, "ms2": 0.8113},
                         "output_path": "/some/folder/transfer/speclib.tuned.hdf"},
        "modifications": [
            {"model": "rt", "modification": "Phospho@S", "training_peptides": 12, "learnt": False, "test_peptides": 0,
             "metric": "median_abs_error_calibrated", "before": float("nan"), "after": float("nan")},
            {"model": "ms2", "modification": "Oxidation@M", "training_peptides": 1512, "learnt": True,
             "test_peptides": 205, "metric": "SA-median", "before": 0.612, "after": 0.723},
        ],
        "seconds": {"first pass": 183.4, "transfer library": 9.8, "tuning": 741.2, "tuning rt": 83.2,
                    "tuning charge": 41.0, "tuning ms2": 605.0, "writing models": 0.4, "library prediction": 62.0,
                    "library step": 120.5},
        "rt_bins": [
            {"rt_from": i / 10, "rt_to": (i + 1) / 10, "training_peptides": 1000 - 100 * i, "held_out_peptides": 40,
             "median_abs_error_before": 0.02, "median_abs_error_after": np.nan if i == 9 else 0.0071,
             "note": "not learnt" if i == 9 else ""}
            for i in range(10)
        ],
        "warnings": ["run lab_3.hdf was left out of transfer learning: no precursor at 1 % FDR"],
        "provenance": {"versions": {"alphadia_tl": "0.1.0", "alphadia": "2.3.0", "torch": "2.6.0"}, "random_state": 42,
                       "started_from": {"rt": {"source": "pretrained_models_v3.zip", "sha256": "ab" * 32},
                                        "ms2": {"source": "pretrained_models_v3.zip", "sha256": "cd" * 32}},
                       "device": "cpu", "precision": "bf16", "nce": 25.0, "instrument": "Lumos",
                       "alphadia_tl": {"enabled": True, "models": ["rt", "charge", "ms2", "ccs"],
                                       "min_training_peptides": 200, "gate_confidence": 0.95}},
    }  # fmt: skip


@pytest.fixture
def facts():
    return made_facts()
