"""Errors on held-out peptides, the same for every set of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.tasks.metrics import charge_cross_entropy, fit_calibration, spectral_similarity
from alphadia_tl.tasks.scalar import mobility_per_ccs
from finetuning.domains import Domain, Split, Table

N_BOOTSTRAP = 1000
DESCRIPTIVE = {"_supported_charged_frag_types"}  # alphaDIA's tuner drops the columns of modification losses
HIGHER_IS_BETTER = {"rt": False, "ms2": True, "ccs": False, "charge": False}


@dataclass(frozen=True)
class Scores:
    """Scores per held-out row, and what they amount to.

    Attributes
    ----------
    rows : ndarray
        (n,) score of each row.
    headline, tail : float
        The headline (median; mean for charge) and the 95th percentile (5th for MS2).
    raw : float
        Median error without calibration (RT and CCS, else equal to the headline).
    """

    rows: np.ndarray
    headline: float
    tail: float
    raw: float


class Scorer:
    """Scores weights of one model on the held-out rows of a domain."""

    def __init__(self, domain: Domain, split: Split, ours: FinetuneManager) -> None:
        self.domain, self.split, self.ours = domain, split, ours

    def __call__(self, state: dict[str, torch.Tensor]) -> Scores:
        """Score one set of weights."""
        model = self.domain.model
        network = self.ours.interface(model).model
        network.load_state_dict({k: v for k, v in state.items() if k not in DESCRIPTIVE}, strict=model != "ms2")
        rows, raw = getattr(self, f"_{model}")()
        summary = np.mean if model == "charge" else np.median
        tail = np.percentile(rows, 5 if HIGHER_IS_BETTER[model] else 95)
        return Scores(rows, float(summary(rows)), float(tail), float(summary(raw)))

    def _rt(self) -> tuple[np.ndarray, np.ndarray]:
        known, test = self.split.calibration.df, self.split.test.df
        curve = fit_calibration(self.ours.predict_rt_array(known), known["rt_norm"].to_numpy())
        predicted, target = self.ours.predict_rt_array(test), test["rt_norm"].to_numpy()
        return np.abs(curve(predicted) - target), np.abs(predicted - target)

    def _ccs(self) -> tuple[np.ndarray, np.ndarray]:
        known, test = self.split.calibration.df, self.split.test.df
        scale = mobility_per_ccs(known)
        curve = fit_calibration(self.ours.predict_ccs_array(known) * scale, known["ccs"].to_numpy() * scale)
        predicted, target = self.ours.predict_ccs_array(test), test["ccs"].to_numpy()
        scale = mobility_per_ccs(test)
        return np.abs(curve(predicted * scale) / scale - target) / target, np.abs(predicted - target) / target

    def _charge(self) -> tuple[np.ndarray, np.ndarray]:
        forms, observed = charge_states(self.split.test)
        states = np.arange(1, 11)
        searched = self.split.pool.df["charge"]
        observable = (states >= searched.min()) & (states <= searched.max())
        p = self.ours.predict_charge_probabilities(forms)
        loss = charge_cross_entropy(p, observed, np.broadcast_to(observable, p.shape))
        return loss, loss

    def _ms2(self) -> tuple[np.ndarray, np.ndarray]:
        test = self.split.test
        counts = test.df["nAA"].to_numpy() - 1
        target, mask = test.fragments.to_numpy(), test.mask.to_numpy()  # type: ignore[union-attr]
        angle = np.nan_to_num(spectral_similarity(self.ours.predict_ms2_array(test.df), target, mask, counts)["SA"])
        keep = np.add.reduceat((target * mask).sum(axis=1), counts.cumsum() - counts) > 0
        return angle[keep], angle[keep]


def charge_states(table: Table) -> tuple[Any, np.ndarray]:
    """Return one row per peptidoform and its (n, 10) observed charge states."""
    keys = ["sequence", "mods", "mod_sites"]
    group = table.df.groupby(keys, sort=False).ngroup().to_numpy()
    forms = table.df.drop_duplicates(keys)[[*keys, "nAA"]].reset_index(drop=True)
    observed = np.zeros((len(forms), 10))
    observed[group, table.df["charge"].to_numpy() - 1] = 1
    return forms, observed


def change_interval(model: str, before: Scores, after: Scores) -> tuple[float, float]:
    """Return the paired 95 % bootstrap interval of the improvement in the headline; positive is better."""
    rng = np.random.default_rng(0)
    summary = np.mean if model == "charge" else np.median
    sign = 1 if HIGHER_IS_BETTER[model] else -1
    rows = rng.integers(0, before.rows.size, (N_BOOTSTRAP, before.rows.size))
    gain = sign * (summary(after.rows[rows], axis=1) - summary(before.rows[rows], axis=1))
    low, high = np.quantile(gain, [0.025, 0.975])
    return float(low), float(high)
