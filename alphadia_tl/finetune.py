"""FinetuneManager: peptdeep's ModelManager with tuning that can be trusted and predictions in any row order."""

from __future__ import annotations

import copy
import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from alphabase.peptide.fragment import sort_charged_frag_types
from numpy.typing import NDArray
from peptdeep.model.model_interface import ModelInterface
from peptdeep.pretrained_models import ModelManager
from peptdeep.settings import global_settings

from alphadia_tl.errors import OutputError, WeightsError
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import (
    DEFAULT_FRAG_TYPES,
    Task,
    TaskData,
    TuneResult,
    Weights,
    build_model,
    find_weights,
    get_task,
    predict,
    tune,
)
from alphadia_tl.tasks.frames import PredictionMixin

__all__ = ["FinetuneManager"]

logger = logging.getLogger(__name__)

ModelSource = Path | str | Mapping[str, Path | str] | None
MODEL_ORDER = ("rt", "ms2", "charge", "ccs")


class FinetuneManager(PredictionMixin, ModelManager):  # type: ignore[misc]
    """Predict with the PeptDeep models, and tune them on identified precursors.

    Parameters
    ----------
    device : str, default "gpu"
        "gpu" (the CPU where there is none), "cuda", "mps" or "cpu".
    settings : TrainingSettings or Mapping, optional
        The config section ``transfer_learning``.
    models : path or mapping, optional
        Start weights: a folder with ``{rt,ms2,charge,ccs}.pth``, an earlier bundle, a zip laid out as
        peptdeep's, or a mapping of model name to file. None: the zip that peptdeep has installed.
    nce : float
        Normalised collision energy of rows without a column ``nce``.
    instrument : str
        Instrument of rows without a column ``instrument``.
    charged_frag_types : sequence of str
        Fragment types that are predicted and learnt; the MS2 weights must know them.
    seed : int
        Everything random is seeded from it: on the CPU, the same data give the same weights.
    precision : str
        "auto" (bf16 where the hardware has it), "fp32" or "bf16".
    model_type : str
        Which weights of a zip: "generic", "phospho" or "digly".

    Attributes
    ----------
    results : dict of str to TuneResult
        Results of the models tuned so far.
    weights : dict of str to Weights
        Start weights of each model that has any.

    Raises
    ------
    WeightsError
        When weights are missing (CCS excepted, until it is used), damaged or of another architecture.
    """

    def __init__(
        self,
        device: str = "gpu",
        settings: TrainingSettings | Mapping[str, Any] | None = None,
        models: ModelSource = None,
        *,
        nce: float = 30.0,
        instrument: str = "Lumos",
        charged_frag_types: Sequence[str] = DEFAULT_FRAG_TYPES,
        seed: int = 0,
        precision: str = "auto",
        model_type: str = "generic",
    ) -> None:
        self._device = device
        self._train_psm_logging = True
        self.settings = settings if isinstance(settings, TrainingSettings) else TrainingSettings.from_mapping(settings)
        self.charged_frag_types: list[str] = list(sort_charged_frag_types(list(charged_frag_types)))
        self.seed = seed
        self.precision = precision
        self.results: dict[str, TuneResult] = {}
        self.weights: dict[str, Weights] = {}
        self._ccs_error: WeightsError | None = None
        for name in MODEL_ORDER:
            setattr(self, f"{name}_model", self._build(name, models, model_type))
        self.reset_by_global_settings(reload_models=False)
        self.verbose = False
        self.nce = nce
        self.instrument = instrument

    def _build(self, name: str, models: ModelSource, model_type: str) -> ModelInterface | None:
        try:
            weights = find_weights(name, models, model_type)
        except WeightsError as e:
            if name != "ccs":
                raise
            self._ccs_error = e
            return None
        self.weights[name] = weights
        return build_model(weights, self._device, self.charged_frag_types if name == "ms2" else None)

    @property
    def instrument(self) -> str:
        """Instrument group that the MS2 model is asked for."""
        return str(self._instrument)

    @instrument.setter
    def instrument(self, instrument_name: str) -> None:
        groups = global_settings["model_mgr"]["instrument_group"]
        if instrument_name.upper() not in groups:
            logger.warning("Unknown instrument '%s': the MS2 model is asked for Lumos.", instrument_name)
        self._instrument = groups.get(instrument_name.upper(), "Lumos")

    def interface(self, name: str) -> ModelInterface:
        """Return peptdeep's interface of a model; its network is ``.model``."""
        if name == "ccs" and self._ccs_error is not None:
            raise self._ccs_error
        return getattr(self, f"{name}_model")

    def weight_sources(self) -> dict[str, dict[str, str]]:
        """Return where the start weights of each model came from, and the SHA-256 of the file."""
        return {name: {"source": w.source, "sha256": w.sha256} for name, w in self.weights.items()}

    def _task(self, name: str) -> Task:
        supported = self.ms2_model.model.supported_charged_frag_types if name == "ms2" else None
        return get_task(
            name,
            charged_frag_types=self.charged_frag_types,
            supported=supported,
            nce=self.nce,
            instrument=self.instrument,
        )

    def _tune(self, name: str, data: TaskData) -> pd.DataFrame:
        seed = zlib.crc32(f"{self.seed}/{name}".encode())
        network = self.interface(name).model
        result = tune(self._task(name), network, data, self.settings, seed=seed, precision=self.precision)
        self.results[name] = result
        return result.history

    def finetune_rt(self, psm_df: pd.DataFrame) -> pd.DataFrame:
        """Tune the RT model on ``sequence, mods, mod_sites, rt_norm``; return the long table of its metrics."""
        return self._tune("rt", TaskData(psm_df))

    def finetune_ccs(self, psm_df: pd.DataFrame) -> pd.DataFrame:
        """Tune the CCS model on ``sequence, mods, mod_sites, charge`` and ``ccs`` or ``mobility``."""
        return self._tune("ccs", TaskData(psm_df))

    def finetune_charge(
        self,
        psm_df: pd.DataFrame,
        precursor_mz: tuple[float, float] | None = None,
        precursor_charge: tuple[int, int] | None = None,
    ) -> pd.DataFrame:
        """Tune the charge model on ``sequence, mods, mod_sites, charge``.

        ``precursor_mz`` and ``precursor_charge`` are the lowest and highest value searched for: charge
        states outside could not have been observed and are not learnt as absent.
        """
        return self._tune("charge", TaskData(psm_df, charge_limits=precursor_charge, mz_limits=precursor_mz))

    def finetune_ms2(
        self,
        psm_df: pd.DataFrame,
        matched_intensity_df: pd.DataFrame,
        fragment_mask_df: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Tune the MS2 model on the fragments at ``frag_start_idx:frag_stop_idx``; masked ones do not count."""
        return self._tune("ms2", TaskData(psm_df, matched_intensity_df, fragment_mask_df))

    def restore_pretrained(self, name: str) -> None:
        """Put the start weights of a model back."""
        network = self.interface(name).model
        start = build_model(self.weights[name], "cpu").model.state_dict()
        network.load_state_dict(copy.deepcopy(start))

    def save_models(self, folder: Path | str) -> None:
        """Write ``{rt,ms2,charge,ccs}.pth``, which peptdeep can load, into a folder."""
        target = Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name in self.weights:
                partial = target / f"{name}.pth.partial"
                state = {k: v.detach().cpu() for k, v in self.interface(name).model.state_dict().items()}
                torch.save(state, partial)
                partial.replace(target / f"{name}.pth")
        except (OSError, RuntimeError) as e:
            raise OutputError(f"The models cannot be written to {target}: {e}.", "Check permissions and space.") from e

    def _predict(self, name: str, df: pd.DataFrame) -> NDArray[Any]:
        return predict(self._task(name), self.interface(name).model, df, self.precision)

    def predict_all(
        self,
        precursor_df: pd.DataFrame,
        *,
        predict_items: Sequence[str] = ("rt", "mobility", "ms2"),
        frag_types: list[str] | None = None,
        **multiprocessing: Any,
    ) -> dict[str, pd.DataFrame]:
        """Predict several properties as `ModelManager.predict_all` does, in this process.

        As there, ``precursor_df`` is sorted by length in place. Arguments about multiprocessing are
        accepted and not needed.
        """
        wanted = list(frag_types) if frag_types is not None else self.charged_frag_types
        result: dict[str, pd.DataFrame] = super().predict_all(
            precursor_df, predict_items=list(predict_items), frag_types=wanted, multiprocessing=False
        )
        return result
