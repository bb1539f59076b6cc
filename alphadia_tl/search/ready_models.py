"""``alphadia_tl.tune: false``: one search, whose library is predicted by models as they are."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.bundle import Bundle, versions
from alphadia_tl.files import write_yaml
from alphadia_tl.models.provenance import (
    Origin,
    differences,
    find_origin,
    gradient_difference,
    gradient_minutes,
    tuned_nce,
)
from alphadia_tl.step.outcome import starting_point
from alphadia_tl.step.step import first_predictor, preflight
from alphadia_tl.step.step_settings import StepSettings

logger = logging.getLogger(__name__)


class ReadyModels:
    """Models that are used as they are: checked before the search, recorded after it.

    ``predictor`` predicts the library; None leaves it to alphaDIA. ``warnings`` tell in what the search differs from
    what the models were trained for. Raises WeightsError or OutputError as :func:`alphadia_tl.step.step.preflight`.
    """

    def __init__(self, settings: StepSettings, output_folder: Path) -> None:
        manager = preflight(settings, output_folder)
        self.predictor = first_predictor(manager)
        self._started = starting_point(settings, manager)
        self._provenance = Bundle(output_folder).provenance
        self._origin: Origin | None = find_origin(settings.model_path)
        self.warnings: list[str] = []
        self._settings = settings = self._with_the_models_energy(settings)
        self._warn(
            differences(
                self._record,
                fragment_types=settings.predicted_frag_types,
                modifications=settings.searched_modifications,
                nce=settings.nce,
                instrument=settings.instrument,
            )
        )

    def _with_the_models_energy(self, settings: StepSettings) -> StepSettings:
        """Predict with the collision energy that the MS2 model was tuned with, unless the user chose another."""
        wanted, why = settings.plugin.nce, "alphadia_tl.nce"
        if wanted == "auto":
            wanted, why = tuned_nce(self._record), "with which the MS2 model was tuned"
        if self.predictor is None or wanted in (None, settings.nce):
            return settings
        nce = float(wanted)
        logger.info(f"NCE {nce:.1f} ({why}) instead of {settings.nce:.1f}.")
        self.predictor.nce = nce
        return replace(settings, nce=nce)

    @property
    def _record(self) -> dict[str, Any]:
        return dict(self._origin.record) if self._origin else {}

    def _warn(self, lines: list[str]) -> None:
        self.warnings += lines
        for line in lines:
            logger.warning(line)

    def finish(self, retention_df: pd.DataFrame | None) -> None:
        """Compare the gradient, and write what was used.

        ``retention_df`` has the columns ``run`` and ``seconds`` of the identified precursors; None where there is no
        table.
        """
        minutes = None if retention_df is None else gradient_minutes(retention_df["seconds"], retention_df["run"])
        self._warn(gradient_difference(self._record, minutes))
        settings = self._settings
        record = {
            "versions": versions(),
            **self._started,
            "nce": settings.nce,
            "instrument": settings.instrument,
            "fragment_types": list(settings.predicted_frag_types),
            "modifications": list(settings.searched_modifications),
            "gradient_minutes": minutes,
            "alphadia_tl": settings.plugin.to_mapping(),
            "warnings": self.warnings,
        }
        write_yaml(self._provenance, record)
        logger.info(f"The models were used as they are; what they are is in {self._provenance}")
