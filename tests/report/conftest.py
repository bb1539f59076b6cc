"""Facts of a made run in which everything happened: accepted, rejected and skipped models, a warning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.bundle import Bundle
from alphadia_tl.files import write_stats, write_table, write_yaml
from alphadia_tl.tasks.held_out import ROW_COLUMNS, SPECTRUM_COLUMNS


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
             "before": 0.02317, "after": 0.00912, "interval": [0.0129, 0.0151], "n_peptides": peptides,
             "reason": "tuned model used: median_abs_error_calibrated 0.0232 -> 0.0091 on 1161 held-out peptides"},
            {"model": "charge", "accepted": False, "headline": "ce_loss", "higher_is_better": False, "before": 0.1712,
             "after": 0.1709, "interval": [-0.0011, 0.0016], "n_peptides": peptides,
             "reason": "pretrained model kept: ce_loss 0.1712 -> 0.1709; the improvement may be chance"},
            {"model": "ms2", "accepted": True, "headline": "SA-median", "higher_is_better": True, "before": 0.712,
             "after": 0.791, "interval": [0.071, 0.086], "n_peptides": peptides, "reason": "tuned model used"},
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
        "between_passes": {
            "kept": 15020, "gained": 4011, "lost": 1392, "unknown": {"entrapment": "no entrapment is known"},
            "errors": {
                "kept": {"decoys": 0, "fdp_decoys": 0.0, "fdp_decoys_interval": [0.0, 0.00031]},
                "gained": {"decoys": 213, "fdp_decoys": 0.053, "fdp_decoys_interval": [0.039, 1.2]},
                "lost": {},
            },
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
        "nce": {"configured": 30.0, "used": 25.0, "curve": {20.0: 0.65, 25.0: 0.7, 30.0: 0.651}},
        "held_out": made_held_out(),
        "spectra": made_spectra(),
        "provenance": {"models": {"rt": "ef" * 32},
                       "versions": {"alphadia_tl": "0.1.0", "alphadia": "2.3.0", "torch": "2.6.0"}, "random_state": 42,
                       "started_from": {"rt": {"file": "pretrained_models_v3.zip", "sha256": "ab" * 32},
                                        "ms2": {"file": "pretrained_models_v3.zip", "sha256": "cd" * 32}},
                       "device": "cpu", "precision": "bf16", "nce": 25.0, "instrument": "Lumos",
                       "alphadia_tl": {"enabled": True, "models": ["rt", "charge", "ms2", "ccs"],
                                       "min_training_peptides": 200, "gate_confidence": 0.95}},
    }  # fmt: skip


def made_held_out(n=300, seed=1) -> pd.DataFrame:
    """Held-out rows of all models, n of each: after tuning the errors are a third of what they were."""
    rng = np.random.default_rng(seed)
    parts = []
    for model in ("rt", "charge", "ms2", "ccs"):
        lengths = rng.integers(7, 20, n)
        rows = pd.DataFrame({
            "model": model,
            "sequence": ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), k)) for k in lengths],
            "mods": rng.choice(["", "", "Oxidation@M", "Oxidation@M;Carbamidomethyl@C"], n),
            "charge": rng.integers(2, 5, n),
        })  # fmt: skip
        error = rng.normal(0, 1, n)
        if model in ("rt", "ccs"):
            scale, observed = (0.03, rng.random(n)) if model == "rt" else (9.0, 300 + 20.0 * lengths)
            rows = rows.assign(observed=observed, before=observed + scale * error, after=observed + scale * error / 3)
            rows["score_before"], rows["score_after"] = abs(rows["before"] - observed), abs(rows["after"] - observed)
        elif model == "charge":
            after = rng.random(n)
            rows = rows.assign(observed=1.0 * (rng.random(n) < after), before=after**3, after=after)
        else:
            before = np.clip(0.6 + 0.1 * error, 0, 1)
            rows = rows.assign(score_before=before, score_after=np.clip(before + rng.normal(0.1, 0.08, n), 0, 1))
        parts.append(rows.reindex(columns=list(ROW_COLUMNS)))
    return pd.concat(parts, ignore_index=True)


def made_spectra(seed=2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for kind in ("typical", "best gained", "worst"):
        for number in range(2):
            sequence = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 11))
            ions = [f"{s}{i}{z}" for s in "by" for i in range(1, 11) for z in ("+", "++")]
            observed = rng.exponential(0.25, len(ions)).clip(0, 1)
            parts.append(pd.DataFrame({
                "kind": kind, "spectrum": number, "sequence": sequence, "mods": "", "charge": 2, "score_before": 0.52,
                "score_after": 0.71, "ion": ions, "mz": rng.uniform(150, 1300, len(ions)), "observed": observed,
                "before": observed * rng.uniform(0, 2, len(ions)), "after": observed * rng.uniform(0.7, 1.2, len(ions)),
            }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)[list(SPECTRUM_COLUMNS)]


def write_bundle(folder, facts) -> Bundle:
    """Write the files that a run leaves, as the step writes them."""
    bundle = Bundle(folder)
    plain = {k: facts[k] for k in facts if k not in ("history", "rt_bins", "modifications", "held_out", "spectra")}
    nce = plain.pop("nce")
    write_yaml(bundle.provenance, {
        **plain.pop("provenance"), "nce": nce["used"], "library_prediction_nce": nce["configured"],
        "nce_curve": nce["curve"], **plain,
    })  # fmt: skip
    write_stats(bundle.stats, facts["history"])
    write_stats(bundle.rt_bins, pd.DataFrame(facts["rt_bins"]))
    write_stats(bundle.modifications, pd.DataFrame(facts["modifications"]))
    write_table(bundle.held_out, facts["held_out"])
    write_table(bundle.spectra, facts["spectra"])
    return bundle


@pytest.fixture
def facts():
    return made_facts()


@pytest.fixture
def bundle(facts, tmp_path):
    return write_bundle(tmp_path / "transfer", facts)
