"""What is written down about models: what they were started from, what they learnt, and which files they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from alphadia_tl.bundle import Bundle, write_stats, write_table
from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.modifications import modification_table, not_learnt, training_counts
from alphadia_tl.origin import find_origin, model_hashes
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.step_settings import StepSettings
from alphadia_tl.tasks import TuneResult
from alphadia_tl.tasks.held_out import HeldOut
from alphadia_tl.trained_on import describe_training


def starting_point(settings: StepSettings, manager: FinetuneManager) -> dict[str, Any]:
    """Return file and hash of the models started from and, where they are a bundle's, its history, latest first."""
    files = {name: {"file": w.source, "sha256": w.sha256} for name, w in manager.weights.items()}
    origin = find_origin(settings.model_path)
    return {"started_from": files, "history": origin.history() if origin else []}


def record_training(
    settings: StepSettings, precursor_df: pd.DataFrame, manager: FinetuneManager, outcome: StepOutcome
) -> None:
    """Record what the tuned models were trained on; name the modifications that they could not learn.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    precursor_df : pandas.DataFrame
        Of the transfer library.
    manager : FinetuneManager
        After tuning.
    outcome : StepOutcome
        Gets the table, the warnings and the key ``trained_on`` of the provenance. The held-out rows with their
        predictions are written into its bundle.
    """
    table = modification_table(manager.results, settings.searched_modifications)
    outcome.modifications = table
    outcome.warnings += not_learnt(table)
    outcome.provenance["trained_on"] = describe_training(
        precursor_df,
        fragment_types=settings.charged_frag_types,
        modifications=training_counts(table),
        nce=float(manager.nce),
        instrument=settings.instrument,
    )
    write_stats(outcome.bundle.modifications, table)
    write_held_out(manager.results, outcome.bundle)


def write_held_out(results: Mapping[str, TuneResult], bundle: Bundle) -> None:
    """Write the held-out rows of all tuned models, and a few spectra; the tables are empty where nothing was tuned."""
    found = [result.held_out for result in results.values()] or [HeldOut()]
    write_table(bundle.held_out, pd.concat([h.rows for h in found], ignore_index=True))
    write_table(bundle.spectra, results["ms2"].held_out.spectra if "ms2" in results else HeldOut().spectra)


def save_models(manager: FinetuneManager, outcome: StepOutcome) -> None:
    """Write the models into the bundle, and their hashes into the provenance."""
    manager.save_models(str(outcome.bundle.models))
    outcome.provenance["models"] = model_hashes(outcome.bundle.models)
