"""Charge states of a peptidoform: binary cross entropy per state that could have been observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from alphabase.peptide.precursor import update_precursor_mz
from peptdeep.model.charge import MAX_SUPPORTED_CHARGE, MIN_SUPPORTED_CHARGE
from peptdeep.model.generic_property_prediction import Model_for_Generic_ModAASeq_Regression_Transformer
from torch import Tensor

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PEPTIDOFORM
from alphadia_tl.tasks.base import Evaluation, Headline, MzLimits, Prepared, Task, TaskData, as_numpy
from alphadia_tl.tasks.encode import encode_peptidoforms, in_length_order, number_column, require_columns
from alphadia_tl.tasks.metrics import BoolArray, Calibration, FloatArray, charge_cross_entropy, charge_metrics
from alphadia_tl.training.examples import Batch, Examples

CHARGES = np.arange(MIN_SUPPORTED_CHARGE, MAX_SUPPORTED_CHARGE + 1)
PROTON_MASS = 1.00727646688
ASCII_OFFSET = ord("A") - 1


def observable_states(
    peptidoforms: pd.DataFrame, charge_limits: tuple[int, int] | None = None, mz_limits: MzLimits | None = None
) -> BoolArray:
    """Return (n, 10) whether a search could have found each state; column j is for charge j + 1.

    The limits are the lowest and highest charge and precursor m/z (or several ranges of it) that were searched for.
    """
    observable = np.ones((len(peptidoforms), CHARGES.size), dtype=bool)
    if charge_limits is not None:
        observable &= (charge_limits[0] <= CHARGES) & (charge_limits[1] >= CHARGES)
    if mz_limits is not None and len(peptidoforms):
        order, ordered = in_length_order(peptidoforms[PEPTIDOFORM].assign(charge=1))
        mass = np.empty(len(peptidoforms))
        mass[order] = update_precursor_mz(ordered)["precursor_mz"].to_numpy() - PROTON_MASS
        mz = mass[:, None] / CHARGES + PROTON_MASS
        observable &= np.any([(mz >= low) & (mz <= high) for low, high in np.atleast_2d(mz_limits)], axis=0)
    return observable


def searched_states(peptidoforms: pd.DataFrame, searched_df: pd.DataFrame) -> BoolArray:
    """Return (n, 10) which charge states, 1 to 10, the table of precursors has of the peptidoforms, none twice."""
    columns = PEPTIDOFORM
    rows = peptidoforms[columns].assign(row=np.arange(len(peptidoforms)))
    found = searched_df[[*columns, "charge"]].fillna(dict.fromkeys(columns, "")).merge(rows, on=columns)
    found = found[found["charge"].between(CHARGES[0], CHARGES[-1])]
    searched = np.zeros((len(peptidoforms), CHARGES.size), dtype=bool)
    searched[found["row"], found["charge"].to_numpy(np.int64) - CHARGES[0]] = True
    return searched


class ChargeTask(Task):
    """Probability of each charge state, 1 to 10, of a peptidoform."""

    name = "charge"
    title = "Charge"
    headline = Headline("ce_loss", higher_is_better=False, trimmed=0.0)
    max_lr = 3e-4
    epochs = 15
    averages_folds = False  # the cutoff is chosen with the first fold's probabilities
    wanted_peptides = 400  # cross entropy is a mean with a heavy tail
    reduced_training = False  # its matrices are small: 1.25 times as slow, measured on AMD with avx512_bf16

    def prepare(self, data: TaskData) -> Prepared:
        """Encode each peptidoform once, with all charge states it was observed in."""
        df = data.precursor_df
        require_columns(df, PEPTIDOFORM, "the charge model")
        charge = number_column(df, "charge", "the charge model").astype(np.int64)
        if ((charge < CHARGES[0]) | (charge > CHARGES[-1])).any():
            raise DataError(f"Column 'charge' holds values outside {CHARGES[0]} to {CHARGES[-1]}.")
        keys = pd.DataFrame({c: df[c].fillna("").to_numpy(dtype=object) for c in PEPTIDOFORM})
        group = keys.groupby(PEPTIDOFORM, sort=False).ngroup().to_numpy()
        forms = keys.take(np.unique(group, return_index=True)[1]).reset_index(drop=True)
        target = np.zeros((len(forms), CHARGES.size), dtype=np.float32)
        target[group, charge - CHARGES[0]] = 1
        observable = observable_states(forms, data.charge_limits, data.mz_limits)
        if data.searched_df is not None:
            observable &= searched_states(forms, data.searched_df)
        observable |= target > 0
        per_row = {"target": torch.from_numpy(target), "observable": torch.from_numpy(observable)}
        return Prepared.of(encode_peptidoforms(forms, per_row), forms)

    def forward(self, network: torch.nn.Module, batch: Batch) -> Tensor:
        """Return (b, 10) logits: the network without its last sigmoid, which bf16 would round to 0 or 1."""
        residues = batch["residues"]
        letters = torch.where(residues > 0, residues + ASCII_OFFSET, residues)
        logits: Tensor = Model_for_Generic_ModAASeq_Regression_Transformer.forward(
            network, letters, batch["modifications"]
        )
        return logits

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean over peptidoforms of the cross entropy of their observable states."""
        loss = torch.nn.functional.binary_cross_entropy_with_logits(output, batch["target"], reduction="none")
        counts = batch["observable"].float()
        return ((loss * counts).sum(dim=1) / counts.sum(dim=1)).mean()

    def finish(self, outputs: Tensor, examples: Examples) -> FloatArray:
        """Return (n, 10) probabilities."""
        return as_numpy(torch.sigmoid(outputs))

    def evaluate(self, predictions: FloatArray, examples: Examples, calibration: Calibration | None) -> Evaluation:
        """Score predictions; the scores are each peptidoform's cross entropy."""
        target = as_numpy(examples.per_row["target"])
        observable = as_numpy(examples.per_row["observable"])
        return Evaluation(
            metrics=charge_metrics(predictions, target, observable),
            scores=charge_cross_entropy(predictions, target, observable),
            predictions=predictions,
            observed=predictions[target > 0],
        )
