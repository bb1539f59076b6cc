"""FinetuneManager: peptdeep's ModelManager with tuning that can be trusted and predictions in any row order."""

from __future__ import annotations

import copy
import logging
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pandas as pd
import torch
from alphabase.peptide.fragment import sort_charged_frag_types
from numpy.typing import NDArray
from peptdeep.model.model_interface import ModelInterface
from peptdeep.pretrained_models import ModelManager

from alphadia_tl.errors import DataError, WeightsError
from alphadia_tl.models.prediction import PredictedChunks, PredictionMixin, in_chunks, network_fingerprint
from alphadia_tl.models.weights import MissingWeightsError, Weights, build_model, find_weights, save_networks
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import MzLimits, Task, TaskData
from alphadia_tl.tasks.energy import GRID, Better, NceSearch, search_nce, with_nce
from alphadia_tl.tasks.held_out import PairedScores, TuneResult, Values, score_library_values
from alphadia_tl.tasks.ms2 import DEFAULT_FRAG_TYPES, TOKENS, UNKNOWN, Ms2Task, instrument_group
from alphadia_tl.tasks.predict import predict
from alphadia_tl.tasks.repeated_tuning import tune_in_folds
from alphadia_tl.tasks.tuning import TuneSettings, score_unseen
from alphadia_tl.training.examples import Examples

logger = logging.getLogger(__name__)

T = TypeVar("T")


def else_on_cpu(interface: ModelInterface, run: Callable[[], T], *, tunes: bool = False) -> T:
    """Run; where memory is out, once more from the same weights with the model on the CPU, where it stays.

    With ``tunes``, running changes the weights, which are put back before the second time.
    """
    start = {k: v.detach().cpu().clone() for k, v in interface.model.state_dict().items()} if tunes else None
    try:
        return run()
    except torch.OutOfMemoryError as error:
        problem = str(error).splitlines()[0]
    logger.warning("%s From here on this model runs on the CPU, which is slower.", problem)
    interface.set_device("cpu")
    interface.model.to("cpu")
    if start is not None:
        interface.model.load_state_dict(start)
    torch.cuda.empty_cache()
    return run()


ModelSource = Path | str | Mapping[str, Path | str] | None
MODEL_ORDER = ("rt", "ms2", "charge", "ccs")


class FinetuneManager(PredictionMixin, ModelManager):  # type: ignore[misc]
    """Predict with the PeptDeep models, and tune them on identified precursors.

    All rows that it is given are tuned on. The step keeps a lockbox from it; to do the same, keep peptides out and give
    them to `score_unseen`.

    Parameters
    ----------
    device : str, default "gpu"
        "gpu" (the CPU where there is none), "cuda", "mps" or "cpu".
    settings : TrainingSettings or Mapping, optional
        The config section ``transfer_learning``.
    models : path or mapping, optional
        Start weights: a folder with ``{rt,ms2,charge,ccs}.pth``, an earlier bundle, a zip laid out as
        peptdeep's, or a mapping of model name to file. None: the zip that peptdeep has installed. Models that are
        missing are an error only when they are used.
    nce : float
        Normalised collision energy of rows without a column ``nce``.
    instrument : str
        Instrument of rows without a column ``instrument``.
    charged_frag_types : sequence of str
        Fragment types that are predicted and learnt; the MS2 weights must know them.
    seed : int
        Everything random is seeded from it: on the CPU, the same data give the same weights.
    precision : str
        "auto" (bf16 where the hardware is faster with it), "fp32" or "bf16".
    model_type : str
        Which weights of a zip: "generic", "phospho" or "digly".
    checkpoints : Path, optional
        Folder in which trainings leave how far they have come, about twice a minute, and from which the same training
        is taken up; None leaves nothing.

    Attributes
    ----------
    results : dict of str to TuneResult
        Results of the models tuned so far.
    predicted_chunks : PredictedChunks or None
        Predictions that other processes may have made; those that are missing are added.
    weights : dict of str to Weights
        Start weights of each model that has any.
    stand_ins : list of str
        Names the models that the installed ones stand in for.
    nce_search : NceSearch or None
        What the last ``finetune_ms2(nce="auto")`` found.
    instrument_warning : str
        Says what is used instead of an instrument that the models do not know; empty for a known one.

    Raises
    ------
    WeightsError
        When weights are missing (all of them, or those of a model that is used), damaged or of another architecture.
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
        checkpoints: Path | None = None,
    ) -> None:
        self._device = device
        self._train_psm_logging = True
        self.settings = settings if isinstance(settings, TrainingSettings) else TrainingSettings.from_mapping(settings)
        self.charged_frag_types: list[str] = list(sort_charged_frag_types(list(charged_frag_types)))
        self.seed = seed
        self.precision = precision
        self.results: dict[str, TuneResult] = {}
        self._tuned_on: dict[str, TaskData] = {}
        self.checkpoints = checkpoints
        self.predicted_chunks: PredictedChunks | None = None
        self.weights: dict[str, Weights] = {}
        self.nce_search: NceSearch | None = None
        self._pretrained_conditions: tuple[float, str] | None = None
        self.stand_ins: list[str] = []
        self._missing: dict[str, MissingWeightsError] = {}
        if isinstance(models, Mapping) and (unknown := set(models) - set(MODEL_ORDER)):
            raise WeightsError(f"Unknown model '{min(unknown)}'.", f"Known: {', '.join(MODEL_ORDER)}.")
        for name in MODEL_ORDER:
            setattr(self, f"{name}_model", self._build(name, models, model_type))
        if not self.weights:
            raise self._missing[MODEL_ORDER[0]]
        if "charge" in self._missing:
            self.charge_model: Any = SimpleNamespace()  # peptdeep sets its batch size
        self.reset_by_global_settings(reload_models=False)
        self.verbose = False
        self.nce = nce
        self.instrument = instrument

    def _build(self, name: str, models: ModelSource, model_type: str) -> ModelInterface | None:
        try:
            weights = find_weights(name, models, model_type)
        except MissingWeightsError as e:
            self._missing[name] = e
            return None
        self.weights[name] = weights
        return build_model(weights, self._device, self.charged_frag_types if name == "ms2" else None)

    def take_installed(self, names: Iterable[str], model_type: str) -> None:
        """Take those of the models that are missing from the installed ones; say so."""
        for name in sorted(set(names) & self._missing.keys()):
            self.stand_ins.append(f"{self._missing.pop(name).what} The installed {name} model is used instead.")
            logger.warning(self.stand_ins[-1])
            setattr(self, f"{name}_model", self._build(name, None, model_type))
            self.interface(name)

    @property
    def instrument(self) -> str:
        """Instrument group that the MS2 model is asked for."""
        return str(self._instrument)

    @instrument.setter
    def instrument(self, instrument_name: str) -> None:
        self.auto_instrument = instrument_name.lower() == "auto"
        self._instrument, self.instrument_warning = instrument_group(
            UNKNOWN if self.auto_instrument else instrument_name
        )
        if self.instrument_warning:
            logger.warning(self.instrument_warning)
        elif self._instrument.lower() != instrument_name.lower():
            why = "until tuning has found out" if self.auto_instrument else "by PeptDeep's own table; 'auto' finds out"
            logger.info(f"Instrument {instrument_name}: the MS2 model is asked for {self._instrument} ({why}).")

    def interface(self, name: str) -> ModelInterface:
        """Return peptdeep's interface of a model; its network is ``.model``. WeightsError where it has no weights."""
        if name in self._missing:
            raise self._missing[name]
        return getattr(self, f"{name}_model")

    @property
    def on_cpu(self) -> bool:
        """Whether all networks are on the CPU."""
        return all(next(self.interface(n).model.parameters()).device.type == "cpu" for n in self.weights)

    def weight_sources(self) -> dict[str, dict[str, str]]:
        """Return where the start weights of each model came from, and the SHA-256 of the file."""
        return {name: {"source": w.source, "sha256": w.sha256} for name, w in self.weights.items()}

    def _task(self, name: str, nce: float | None = None, instrument: str | None = None) -> Task:
        supported = self.interface("ms2").model.supported_charged_frag_types if name == "ms2" else None
        return get_task(
            name,
            charged_frag_types=self.charged_frag_types,
            supported=supported,
            nce=float(self.nce) if nce is None else nce,
            instrument=instrument or self.instrument,
        )

    def _seed(self, name: str) -> int:
        return zlib.crc32(f"{self.seed}/{name}".encode())

    def _tune_settings(self, name: str) -> TuneSettings:
        return TuneSettings(self.settings, self._seed(name), self.precision, checkpoints=self.checkpoints)

    def _tune(self, task: Task, data: TaskData, baseline: Callable[[Examples], Examples] | None = None) -> pd.DataFrame:
        data = replace(data, precursor_df=task.learnable(data.precursor_df))
        interface, settings = self.interface(task.name), replace(self._tune_settings(task.name), baseline=baseline)
        result = else_on_cpu(interface, lambda: tune_in_folds(task, interface.model, data, settings), tunes=True)
        self.results[task.name], self._tuned_on[task.name] = result, data
        return result.history

    def finetune_rt(self, psm_df: pd.DataFrame) -> pd.DataFrame:
        """Tune the RT model on ``sequence, mods, mod_sites, rt_norm``; return the long table of its metrics."""
        return self._tune(self._task("rt"), TaskData(psm_df))

    def finetune_ccs(self, psm_df: pd.DataFrame) -> pd.DataFrame:
        """Tune the CCS model on ``sequence, mods, mod_sites, charge`` and ``ccs`` or ``mobility``."""
        return self._tune(self._task("ccs"), TaskData(psm_df))

    def finetune_charge(
        self,
        psm_df: pd.DataFrame,
        precursor_mz: MzLimits | None = None,
        precursor_charge: tuple[int, int] | None = None,
        searched_df: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Tune the charge model on ``sequence, mods, mod_sites, charge``.

        ``precursor_mz`` (or several ranges of it) and ``precursor_charge`` are the lowest and highest value
        searched for, ``searched_df`` the precursors that the library had: charge states that could not have been
        observed are not learnt as absent.
        """
        data = TaskData(psm_df, charge_limits=precursor_charge, mz_limits=precursor_mz, searched_df=searched_df)
        return self._tune(self._task("charge"), data)

    def finetune_ms2(
        self,
        psm_df: pd.DataFrame,
        matched_intensity_df: pd.DataFrame,
        fragment_mask_df: pd.DataFrame | None = None,
        *,
        nce: float | str | None = None,
        better: Better | None = None,
    ) -> pd.DataFrame:
        """Tune the MS2 model on the fragments at ``frag_start_idx:frag_stop_idx``; masked ones do not count.

        With ``nce`` (a number, or "auto" to search for one that is ``better``) the model is tuned, and predicts
        from then on, with that collision energy, while the pretrained model that it is compared with keeps the
        one it had. A column ``nce`` of the precursors is ignored then. An instrument "auto" is searched for, too.
        """
        data = TaskData(psm_df, matched_intensity_df, fragment_mask_df)
        if nce is None and not self.auto_instrument:
            return self._tune(self._task("ms2"), data)
        own = ["nce", "instrument"] if self.auto_instrument else ["nce"]
        data = replace(data, precursor_df=self._task("ms2").learnable(psm_df.drop(columns=own, errors="ignore")))
        before = float(self.nce), self.instrument
        chosen = before if nce in (None, "auto") else (float(nce), self.instrument)
        if nce == "auto" or self.auto_instrument:
            task, network = cast(Ms2Task, self._task("ms2", *chosen)), self.interface("ms2").model
            tokens = TOKENS if self.auto_instrument else [self.instrument]
            candidates = product(GRID if nce == "auto" else chosen[:1], tokens)
            settings = self._tune_settings("ms2")
            self.nce_search = search_nce(task, network, data, settings, better, candidates)
            chosen = self.nce_search.chosen, self.nce_search.instrument
        baseline = partial(with_nce, nce=before[0], instrument=before[1]) if chosen != before else None
        history = self._tune(self._task("ms2", *chosen), data, baseline)
        self.use_nce(*chosen)
        return history

    def score_library_values(self, name: str, data: TaskData, values: Values) -> PairedScores:
        """Score the library's own values for held-out peptides, beside the tuned model of the last ``finetune_...``."""
        return score_library_values(self._task(name), data, self.results[name], values)

    def score_unseen(self, name: str, precursor_df: pd.DataFrame) -> PairedScores:
        """Score the pretrained and the tuned weights on precursors that the last ``finetune_...`` was not given.

        ``precursor_df`` is a table like the one tuned on, for MS2 of the same fragment tables. Models of which several
        were averaged are scored as they are: the held-out peptides of ``results`` are not unseen by the mean.
        Raises DataError where peptides were tuned on.
        """
        data, interface = self._tuned_on[name], self.interface(name)
        if seen := set(precursor_df["sequence"]).intersection(data.precursor_df["sequence"]):
            raise DataError(
                f"{len(seen)} of the peptides to score the {name} model with were given to its tuning ({min(seen)}).",
                "Keep them out of one of both.",
            )
        before = self._pretrained_conditions if name == "ms2" else None
        baseline = partial(with_nce, nce=before[0], instrument=before[1]) if before else None
        settings = replace(self._tune_settings(name), baseline=baseline)
        task, validation = self._task(name), self.results[name].sequences["validation"]

        def score() -> PairedScores:
            pretrained = copy.deepcopy(interface.model)
            pretrained.load_state_dict(build_model(self.weights[name], "cpu").model.state_dict())
            return score_unseen(task, (pretrained, interface.model), data, precursor_df, validation, settings)

        return else_on_cpu(interface, score)

    def restore_pretrained(self, name: str) -> None:
        """Put the start weights of a model back, and for MS2 the energy and instrument that were used with them."""
        if name == "ms2" and self._pretrained_conditions is not None:
            (self.nce, self._instrument), self._pretrained_conditions = self._pretrained_conditions, None
        network = self.interface(name).model
        start = build_model(self.weights[name], "cpu").model.state_dict()
        network.load_state_dict(copy.deepcopy(start))

    def save_models(self, folder: Path | str) -> None:
        """Write ``{rt,ms2,charge,ccs}.pth``, which peptdeep can load, into a folder."""
        save_networks(Path(folder), {name: self.interface(name).model for name in self.weights})

    def load_tuned(self, folder: Path, names: Collection[str]) -> None:
        """Put tuned weights that `save_models` wrote in the place of the start weights, which can be restored.

        Raises WeightsError when a file is missing, damaged or of another architecture.
        """
        for name in names:
            interface = self.interface(name)
            types = self.charged_frag_types if name == "ms2" else None
            interface.model.load_state_dict(build_model(find_weights(name, folder), "cpu", types).model.state_dict())

    def use_nce(self, nce: float, instrument: str | None = None) -> None:
        """Predict with an energy and instrument; restoring the pretrained MS2 model brings back those before."""
        self._pretrained_conditions = self._pretrained_conditions or (float(self.nce), self.instrument)
        self.nce, self._instrument = nce, instrument or self.instrument

    def _predict(self, name: str, df: pd.DataFrame) -> NDArray[Any]:
        task, interface = self._task(name), self.interface(name)

        def run(chunk: pd.DataFrame) -> NDArray[Any]:
            return else_on_cpu(interface, lambda: predict(task, interface.model, chunk, self.precision))

        chunks = self.predicted_chunks
        if chunks is None:
            return in_chunks(df, run)
        decisive: dict[str, object] = {"precision": self.precision}
        if name == "ms2":
            decisive |= {"nce": float(self.nce), "instrument": self.instrument, "types": self.charged_frag_types}
        fingerprint = network_fingerprint(interface.model, decisive)

        def read_or_run(chunk: pd.DataFrame) -> NDArray[Any]:
            path = chunks.path(name, fingerprint, chunk)
            values = chunks.read(path)
            if values is None:
                values = run(chunk)
                chunks.write(path, values)
            return values

        return in_chunks(df, read_or_run)

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
