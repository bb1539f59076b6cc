"""Models that are used as they are: for the one search of ``tune: false``, and for a library without a search."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl import host
from alphadia_tl.bundle import versions
from alphadia_tl.errors import LibraryError, SettingsError
from alphadia_tl.files import absolute_path, write_yaml
from alphadia_tl.host.fasta import read_fasta
from alphadia_tl.models import provenance
from alphadia_tl.search.inputs import LIBRARY_KINDS, check_values, switched_on
from alphadia_tl.search.raw_files import check_start
from alphadia_tl.settings import PluginSettings
from alphadia_tl.speclib.regenerate import TunedModels, predict_new
from alphadia_tl.step.outcome import starting_point
from alphadia_tl.step.step import first_predictor, preflight
from alphadia_tl.step.step_settings import StepSettings, step_settings

logger = logging.getLogger(__name__)


class ReadyModels:
    """Models that are used as they are: checked before the search, recorded after it.

    ``predictor`` predicts the library; None leaves it to alphaDIA, where there are no CCS weights and it is not to do
    so ``alone``. ``warnings`` tell in what the library differs from what the models were trained for, ``record`` is
    what their bundle holds, empty where they are not of one. Raises WeightsError or OutputError as
    :func:`alphadia_tl.step.step.preflight`.
    """

    def __init__(self, settings: StepSettings, output_folder: Path, *, alone: bool = False) -> None:
        self.manager = manager = preflight(settings, output_folder)
        self.predictor = manager if alone else first_predictor(manager)
        self._started = starting_point(settings, manager)
        start = provenance.find_start_bundle(settings.model_path)
        self.record: dict[str, Any] = dict(start.record) if start else {}
        self.warnings = list(manager.stand_ins)
        self._settings = settings = self._with_the_models_energy(settings)
        self.warn(
            provenance.differences(
                self.record,
                fragment_types=settings.predicted_frag_types,
                modifications=settings.searched_modifications,
                nce=settings.nce,
                instrument=settings.instrument,
            )
        )

    def _with_the_models_energy(self, settings: StepSettings) -> StepSettings:
        """Predict with the collision energy that the MS2 model was tuned with, unless the user chose another."""
        wanted, why = settings.plugin.nce, "alphadia_tl.nce"
        tuned = provenance.tuned_nce(self.record) is not None
        if self.predictor is not None and self.predictor.auto_instrument and tuned:
            self.predictor.instrument = str(self.record["trained_on"]["instrument"])
            settings = replace(settings, instrument=self.predictor.instrument)
        if wanted == "auto":
            wanted, why = provenance.tuned_nce(self.record), "with which the MS2 model was tuned"
        if self.predictor is None or wanted in (None, settings.nce):
            return settings
        nce = float(wanted)
        logger.info(f"NCE {nce:.1f} ({why}) instead of {settings.nce:.1f}.")
        self.predictor.nce = nce
        return replace(settings, nce=nce)

    def warn(self, lines: Iterable[str]) -> None:
        """Add warnings, and log them."""
        for line in lines:
            self.warnings.append(line)
            logger.warning(line)

    def finish(self, retention_df: pd.DataFrame | None, path: Path) -> None:
        """Compare the gradient, and write what was used.

        ``retention_df`` has the columns ``run`` and ``seconds`` of the identified precursors; None where there is no
        table, or no search.
        """
        minutes = None
        if retention_df is not None:
            minutes = provenance.gradient_minutes(retention_df["seconds"], retention_df["run"])
        self.warn(provenance.gradient_difference(self.record, minutes))
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
        write_yaml(path, record)
        if tuned := provenance.accepted_models(self.record):
            provenance.log_predictors(tuned)
        logger.info(f"The models were used as they are; what they are is in {path}")


@dataclass(frozen=True)
class PredictedLibrary:
    """A library that was predicted without a search, as `SpecLibBase.load_hdf` reads it.

    ``rates`` are precursors per second, by model; ``warnings`` tell where it lies outside of what the models learnt.
    """

    path: Path
    precursors: int
    fragments: int
    rates: Mapping[str, float]
    warnings: tuple[str, ...]


def predict_library(
    models: Path | str,
    output: Path | str,
    *,
    fasta: Sequence[Path | str] = (),
    precursors: Path | str | None = None,
    config: Mapping[str, Any] | None = None,
) -> PredictedLibrary:
    """Predict a spectral library with tuned models, as the final pass of a search has it, without a search.

    Parameters
    ----------
    models : path
        A bundle, the output folder of a search with one in it, or a folder of weights.
    output : path
        The library (``.hdf``). Beside it, with the ending ``.yaml``, stands what it was predicted with.
    fasta : sequence of paths
        FASTA files to digest.
    precursors : path, optional
        In their place a list of peptides, one a line, or a table (``.tsv``, ``.csv``, ``.parquet``) with the column
        ``sequence`` and, where they are known, ``mods``, ``mod_sites``, ``charge``, ``proteins``, ``genes``. What is
        not known is made as the digest makes it.
    config : mapping, optional
        An alphaDIA config, of which ``library_prediction`` counts; alphaDIA's defaults where it is left out.

    Raises
    ------
    TransferLearningError
        What is wrong with models, inputs, config or output, before anything is predicted.
    """
    models, output = absolute_path(models), absolute_path(output)
    if not models.exists():
        raise SettingsError(f"The models {models} do not exist.", "Name a bundle or a folder of weights.")
    if output.is_dir() or output.suffix not in LIBRARY_KINDS[:3]:
        raise SettingsError(f"The library to write, {output}, is not named as one.", "End its name with .hdf.")
    config = dict(config or {})
    plugin = {**(config.get(PluginSettings.section) or {}), "enabled": True, "tune": False}
    ready = {"library_prediction": {"enabled": True, "peptdeep_model_path": str(models)}, "library_path": None}
    config = host.deep_merge(config, ready, {PluginSettings.section: plugin})
    check_values(switched_on(config))
    fastas = [absolute_path(path) for path in fasta or (() if precursors else config.get("fasta_paths") or ())]
    if bool(fastas) == bool(precursors):
        what = "FASTA files and precursors are given" if fastas else "There is no FASTA file and no table of precursors"
        raise SettingsError(f"{what}.", "Give one of --fasta and --precursors.")
    for path in fastas:
        read_fasta(path)
    table = None if precursors is None else read_precursors(absolute_path(precursors))
    return _predicted(config, output, fastas, table)


def _predicted(
    config: dict[str, Any], output: Path, fastas: Sequence[Path], table: pd.DataFrame | None
) -> PredictedLibrary:
    plugin = PluginSettings.from_mapping(config.pop(PluginSettings.section))
    effective = host.effective_config(config, output.parent)
    host.register_modifications(effective)
    settings = step_settings(effective, config, plugin)
    ready = ReadyModels(settings, output.parent, alone=True)
    if minutes := (ready.record.get("trained_on") or {}).get("gradient_minutes"):
        logger.info(f"Retention times are those of runs in which precursors elute until {minutes:.1f} min.")
    given = table is not None and "charge" in table
    df = host.digest_fasta(effective, fastas) if table is None else host.precursors_of_peptides(effective, table)
    if len(df) == 0:
        raise LibraryError("The digest has no precursor.", "See length, charge and m/z in library_prediction.")
    ready.warn(provenance.beyond_training(ready.record, df))
    cutoff = None if given else ready.record.get("charge_cutoff")
    known = [name for name in ("rt", "ccs", "ms2") if name in ready.manager.weights]
    if "ccs" not in known:
        ready.warn(["there are no CCS weights: the library has no ion mobility"])
    accepted = [*known, *(["charge"] if cutoff is not None else [])]
    logger.info(f"Predicting {', '.join(accepted)} of {len(df):,} precursors")
    summary = predict_new(df, output, TunedModels(ready.manager, accepted, settings.predicted_frag_types, cutoff))
    ready.finish(None, output.with_suffix(".yaml"))
    number, fragments = summary["precursors_after"], summary["fragments_after"]
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in summary["rates"].items())
    logger.info(f"Predicted {number:,} precursors, {fragments:,} fragments ({rates} precursors a second)")
    return PredictedLibrary(output, number, fragments, summary["rates"], tuple(ready.warnings))


TABLES = {".tsv": "\t", ".csv": ",", ".txt": "\t"}


def read_precursors(path: Path) -> pd.DataFrame:
    """Read peptides or precursors to predict; SettingsError where there are none.

    A file without the column ``sequence`` whose first column has sequences alone is a list of peptides. Columns beside
    those that `predict_library` names are left out.
    """
    check_start("The table of precursors", path, [path.suffix])
    if (kind := path.suffix.lower()) not in (kinds := [*TABLES, ".parquet"]):
        raise SettingsError(f"The table of precursors {path} is none of {', '.join(kinds)}.", "Save it as one of them.")
    try:
        if kind == ".parquet":
            df = pd.read_parquet(path)
        else:
            df = pd.read_csv(path, sep=TABLES[kind], dtype=str, keep_default_na=False, encoding="utf-8-sig")
            if "sequence" not in df and str(df.columns[0]).isalpha() and str(df.columns[0]).isupper():
                df = pd.DataFrame({"sequence": [str(df.columns[0]), *df.iloc[:, 0]]})
    except (ValueError, OSError) as error:
        raise SettingsError(f"The table of precursors {path} cannot be read: {error}.", "Save it again.") from error
    columns = [c for c in ("sequence", "mods", "mod_sites", "charge", "proteins", "genes") if c in df]
    if "sequence" not in columns or ("mods" in columns) != ("mod_sites" in columns) or len(df) == 0:
        what = f"The table of precursors {path} has {len(df):,} rows and the columns {', '.join(map(str, df))[:200]}."
        raise SettingsError(what, "It needs 'sequence'; 'mods' and 'mod_sites' go together.")
    df = df[columns].assign(sequence=[str(text).strip() for text in df["sequence"]])
    if "charge" in df:
        df["charge"] = pd.to_numeric(df["charge"], errors="coerce")
    return df.drop_duplicates([c for c in columns if c not in ("proteins", "genes")], ignore_index=True)
