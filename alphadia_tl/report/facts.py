"""What the report is made of. Plain values only: the page knows nothing of models, libraries or searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pandas as pd


class DecisionFacts(TypedDict, total=False):
    """What was decided for one model; the mapping of a gate decision fits.

    ``interval`` is the bootstrap interval of the improvement (positive: better); ``before`` and ``after`` are the
    headline metric on the same held-out peptides.
    """

    model: str
    accepted: bool
    reason: str
    headline: str
    higher_is_better: bool
    before: float | None
    after: float | None
    interval: Sequence[float] | None
    n_peptides: Mapping[str, int] | None


class TrainingFacts(TypedDict, total=False):
    """How the training of one model went. ``best_epoch`` is -1 where the start weights were restored."""

    stop_reason: str
    best_epoch: int
    epochs: int
    seconds: float
    n_rows: Mapping[str, int]


class PassFacts(TypedDict, total=False):
    """What one search pass found at the claimed FDR; ``fdp`` estimates the true false discovery proportion, 0 to 1."""

    precursors: int
    precursors_before_protein_fdr: int
    proteins: int
    fdp: float | None
    fdp_interval: list[float]
    verdict: str


class NceFacts(TypedDict, total=False):
    """Collision energies; ``curve`` is the median spectral angle by energy, None where none was searched for."""

    configured: float | None
    used: float | None
    curve: Mapping[float, float] | None


class ModificationFacts(TypedDict, total=False):
    """What one model learnt about one modification; ``before`` and ``after`` as in a decision, NaN without peptides."""

    modification: str
    model: str
    training_peptides: int
    learnt: bool
    test_peptides: int
    metric: str
    before: float
    after: float


class Facts(TypedDict, total=False):
    """Input of the report; every key may be missing.

    Attributes
    ----------
    decisions : sequence of DecisionFacts
        One per model, in the order to show.
    training : mapping of str to TrainingFacts
        By model name; models that were not trained are missing.
    history : pandas.DataFrame
        Long table ``epoch, property, data_split, metric_name, value``; the curves are the rows ``train_loss`` and
        ``lr`` of split "train" and ``val_loss`` of split "validation"; epoch -1 is before training.
    identified : mapping
        ``first_pass`` and ``second_pass``: PassFacts or None where there is no table.
    runs : sequence of str
        Names of the runs.
    transfer_library : mapping
        Counts by name, shown as they are.
    regeneration : mapping or None
        Summary of the library regeneration; None where no library was written.
    modifications : sequence of ModificationFacts
        One per modification and tuned model.
    seconds : mapping of str to float
        Wall time per stage; a stage whose name continues another's ("tuning rt" after "tuning") is part of it.
    rt_bins : sequence of mapping
        Rows along the gradient: ``rt_from``, ``rt_to``, ``training_peptides``, ``held_out_peptides``,
        ``median_abs_error_before``, ``median_abs_error_after``, ``note``; empty where there are none.
    nce : NceFacts
        Collision energies.
    held_out : pandas.DataFrame
        Held-out rows of all models, columns as in ``tasks.held_out.ROW_COLUMNS``.
    spectra : pandas.DataFrame
        A few held-out spectra, columns as in ``tasks.held_out.SPECTRUM_COLUMNS``.
    warnings : sequence of str
        What a user should know.
    provenance : mapping
        Versions, seeds, weight hashes and effective settings, nested as for YAML.
    configs : mapping of str to str
        Text of alphaDIA's effective config by name of the pass.
    """

    decisions: Sequence[DecisionFacts]
    training: Mapping[str, TrainingFacts]
    history: pd.DataFrame
    identified: Mapping[str, PassFacts | None]
    runs: Sequence[str]
    transfer_library: Mapping[str, Any]
    regeneration: Mapping[str, Any] | None
    modifications: Sequence[ModificationFacts]
    seconds: Mapping[str, float]
    rt_bins: Sequence[Mapping[str, Any]]
    nce: NceFacts
    held_out: pd.DataFrame
    spectra: pd.DataFrame
    warnings: Sequence[str]
    provenance: Mapping[str, Any]
    configs: Mapping[str, str]
