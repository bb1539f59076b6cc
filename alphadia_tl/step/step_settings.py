"""What the step needs to know, taken from alphaDIA's effective config and the user's own keys."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from alphabase.peptide.fragment import get_charged_frag_types
from joblib import cpu_count

from alphadia_tl.entrapment.database import settings_of_search
from alphadia_tl.errors import SettingsError
from alphadia_tl.library.collect import Wanted
from alphadia_tl.settings import PluginSettings, TrainingSettings, TransferLibrarySettings

logger = logging.getLogger(__name__)


def usable_processors() -> int:
    """Return the number of processors that the scheduler leaves to this process, at least 1.

    Fewer than the machine has, where a cluster's job, a container or ``taskset`` allows less. More threads than that
    wait for each other: ten times slower than one.
    """
    return max(1, int(cpu_count()))


DEFAULT_SEED = 0
# Streams of random numbers. What draws from one does not change what another gives.
STREAMS = {"selection": 1, "gate": 2, "collision energy": 3, "gradient": 4, "given library": 6, "lockbox": 7, "runs": 8}


@dataclass(frozen=True)
class StepSettings:
    """Settings of a transfer-learning step; ``plugin``, ``training`` and ``library`` are sections of the config."""

    plugin: PluginSettings
    training: TrainingSettings
    library: TransferLibrarySettings
    charged_frag_types: tuple[str, ...]  # quantified and learnt
    predicted_frag_types: tuple[str, ...]  # those that the regenerated library gets
    nce: float  # normalised collision energy; it and the instrument are the same for training and prediction
    instrument: str
    model_path: Path | None  # weight files (folder, zip) or bundle to start from; None: the installed models
    model_type: str  # of installed models: generic, phospho or digly
    searched_modifications: tuple[str, ...]  # fixed and variable ones of the digest; empty where a library is given
    library_is_given: bool  # library_path, not predicted from a FASTA file
    charges_are_complete: bool  # the first library has all charge states that the config asks for
    predicts_first_library: bool  # for which alphaDIA needs the installed models in any case
    device: str  # gpu or cpu
    threads: int  # torch's, never more than the machine has
    seed: int
    fail_fast: bool  # stop when one of several runs cannot be read
    fdr: float  # precursors up to this q-value are learnt from
    # Limits of the library (m/z in Th): what could not be observed is no negative example.
    precursor_mz: tuple[float, float]
    precursor_charge: tuple[int, int]
    fragment_mz: tuple[float, float]

    @property
    def wanted(self) -> Wanted:
        """What is learnt of identified precursors."""
        return Wanted(self.charged_frag_types, self.fdr, self.plugin.max_training_precursors, self.fragment_mz)

    def generator(self, stream: str, *numbers: int) -> np.random.Generator:
        """Return a new generator of one of `STREAMS`; numbers tell those of a stream apart, such as one per model."""
        return np.random.default_rng([self.seed, STREAMS[stream], *numbers])


def _seed(random_state: int | None) -> int:
    if random_state is None:
        return DEFAULT_SEED
    if random_state == -1:
        seed = int(np.random.default_rng().integers(0, 1_000_000))
        logger.info(f"general.random_state is -1: transfer learning uses the random state {seed}")
        return seed
    return int(random_state)


def _one_value(config: Mapping[str, Any], user_config: Mapping[str, Any], key: str) -> Any:
    """Return a value that alphaDIA keeps in two sections, refusing two different ones."""
    prediction = config["library_prediction"][key]
    tuning = (user_config.get("transfer_learning") or {}).get(key, prediction)
    if tuning != prediction:
        raise SettingsError(
            f"Config keys 'transfer_learning.{key}' ({tuning!r}) and 'library_prediction.{key}' ({prediction!r}) "
            "differ.",
            "Training and prediction must use the same value: set library_prediction only.",
        )
    return prediction


def _check_ready_models(model_path: str | None, predicts: bool) -> None:
    if not model_path:
        raise SettingsError(
            "Config key 'alphadia_tl.tune' is false, but 'library_prediction.peptdeep_model_path' names no models.",
            "Name the bundle or folder of the models to use, or leave 'tune' out.",
        )
    if not predicts:
        raise SettingsError(
            "Config key 'alphadia_tl.tune' is false, but 'library_prediction.enabled' is false too: the models would "
            "predict nothing.",
            "Set library_prediction.enabled to true; a given library is then predicted again.",
        )


def _searched_modifications(config: Mapping[str, Any]) -> tuple[str, ...]:
    prediction = config["library_prediction"]
    if config["library_path"] is not None or not prediction["enabled"]:
        return ()
    keys = ("fixed_modifications", "variable_modifications")
    names = (name.strip() for key in keys for name in (prediction[key] or "").split(";"))
    return tuple(dict.fromkeys(name for name in names if name))


def step_settings(config: Mapping[str, Any], user_config: Mapping[str, Any], plugin: PluginSettings) -> StepSettings:
    """Collect the step's settings.

    ``config`` is alphaDIA's effective one, its defaults with the user's values on top; keys of ``transfer_learning``
    count only from ``user_config``, which is what the user wrote. Raises SettingsError if values are impossible or
    contradict each other.
    """
    general, prediction = config["general"], config["library_prediction"]
    library = TransferLibrarySettings.from_mapping(config["transfer_library"], ignore_unknown=True)
    if general["input_library_type"] == "flat":
        raise SettingsError(
            "Config key 'general.input_library_type' is 'flat': a flat library cannot be predicted again.",
            "Give a base library or a FASTA file, or switch alphadia_tl off.",
        )
    # config may hold the folder that alphaDIA is given instead of what the user wrote
    written = user_config.get("library_prediction") or {}
    model_path = written.get("peptdeep_model_path", prediction["peptdeep_model_path"])
    if not plugin.tune:
        _check_ready_models(model_path, bool(prediction["enabled"]))
    learnt = tuple(get_charged_frag_types(list(library.fragment_types), library.max_charge))
    predicted = tuple(get_charged_frag_types(list(prediction["fragment_types"]), prediction["max_fragment_charge"]))
    if not predicted:
        raise SettingsError(
            "Config key 'library_prediction.fragment_types' is empty.", "Name at least one type, e.g. [b, y]."
        )
    if plugin.tune and (missing := sorted(set(predicted) - set(learnt))):
        raise SettingsError(
            f"Fragment types {', '.join(missing)} are predicted (library_prediction) but not learnt "
            "(transfer_library).",
            "Set transfer_library.fragment_types and max_charge to cover library_prediction's.",
        )
    return StepSettings(
        plugin=replace(plugin, entrapment=settings_of_search(plugin.entrapment, config)),
        training=TrainingSettings.from_mapping(user_config.get("transfer_learning"), ignore_unknown=True),
        library=library,
        charged_frag_types=learnt if plugin.tune else predicted,
        predicted_frag_types=predicted,
        nce=float(_one_value(config, user_config, "nce")),
        instrument=str(_one_value(config, user_config, "instrument")),
        model_path=Path(model_path).expanduser() if model_path else None,
        model_type=prediction["peptdeep_model_type"] or "generic",
        searched_modifications=_searched_modifications(config),
        library_is_given=config["library_path"] is not None,
        charges_are_complete=config["library_path"] is None and not prediction.get("predict_charge"),
        predicts_first_library=bool(prediction["enabled"]),
        device="gpu" if general["use_gpu"] else "cpu",
        threads=max(1, min(int(general["thread_count"]), usable_processors())),
        seed=_seed(general["random_state"]),
        fail_fast=bool(general["fail_fast"]),
        fdr=float(config["fdr"]["fdr"]),
        precursor_mz=tuple(prediction["precursor_mz"]),
        precursor_charge=tuple(prediction["precursor_charge"]),
        fragment_mz=tuple(prediction["fragment_mz"]),
    )
