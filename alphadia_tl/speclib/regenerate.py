"""Replace in the library of the first pass what the accepted models predict better."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from alphabase.peptide.mobility import ccs_to_mobility_for_df
from alphabase.spectral_library.base import SpecLibBase
from numpy.typing import NDArray

from alphadia_tl.errors import PredictionError
from alphadia_tl.host.contract import PEPTIDOFORM
from alphadia_tl.host.hooks import Predictor
from alphadia_tl.library.fragments import block_rows
from alphadia_tl.library.selection import peptidoform_groups
from alphadia_tl.models.prediction import CHUNK_ROWS
from alphadia_tl.settings import MODEL_NAMES
from alphadia_tl.speclib import fragments, storage
from alphadia_tl.tasks import predict
from alphadia_tl.tasks.metrics import FloatArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TunedModels:
    """What the library is predicted with.

    ``accepted`` are the models to use, out of ``rt, charge, ms2, ccs``; the predictor must know all
    ``charged_frag_types``, like ``b_z1``, which the new library has beside those that it had. With ``charge`` accepted,
    charge states of a probability below ``charge_cutoff`` are dropped; None drops nothing. ``chunk_rows`` precursors
    have their fragments predicted at once.
    """

    predictor: Predictor
    accepted: Collection[str]
    charged_frag_types: Sequence[str]
    charge_cutoff: float | None = None
    chunk_rows: int = CHUNK_ROWS


@dataclass
class _Job:
    """State of one regeneration: the library and what is noted on the way."""

    library: SpecLibBase
    models: TunedModels
    is_new: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    correlation: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def df(self) -> pd.DataFrame:
        df: pd.DataFrame = self.library._precursor_df
        return df

    def replace_columns(self, old: Sequence[str], new: Mapping[str, Any]) -> None:
        remaining = self.df.drop(columns=[c for c in old if c in self.df.columns])
        self.library._precursor_df = remaining.assign(**new)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] = taken = time.perf_counter() - begin
        if stage in _APPLY:
            logger.info(f"Predicted {stage.upper()} of {len(self.df):,} precursors in {taken:.0f} s")


def _predict_peptidoforms(job: _Job, method: Callable[..., Any]) -> NDArray[np.float32]:
    """Predict once per peptidoform what does not depend on the charge, and spread it over the precursors."""
    first, group = peptidoform_groups(job.df)
    predicted = np.asarray(method(fragments.model_input(job.df.iloc[first])), dtype=np.float32)
    return np.asarray(predicted[group])


def choose_charge_cutoff(probabilities_validation_observed: FloatArray, recall: float) -> float:
    """Return the largest cut-off that keeps at least ``recall`` (above 0, at most 1) of the observed charge states.

    The probabilities (n,), at least one, are those of the observed charge, of precursors that did not train the model;
    those equal to the cut-off stay.
    """
    values = np.sort(probabilities_validation_observed)
    must_keep = min(max(math.ceil(recall * values.size - 1e-9), 1), values.size)
    return float(values[values.size - must_keep])


def kept_fraction(prob_test_observed: FloatArray, cutoff: float) -> float:
    """Return the fraction of observed charge states, shape (n,), whose probability reaches the cut-off."""
    return float(np.mean(prob_test_observed >= cutoff))


def probability_of_own_charge(probabilities: FloatArray, charge: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Pick each row's probability of its own charge (n,); column j of the probabilities (n, c) is for charge j + 1.

    1 for charges that the model does not know: it cannot rule them out.
    """
    column = charge.astype(np.int64) - 1
    known = (column >= 0) & (column < probabilities.shape[1])
    own = np.ones(len(charge), dtype=np.float32)
    own[known] = probabilities[known.nonzero()[0], column[known]]
    return own


def rows_to_keep(precursor_df: pd.DataFrame, probability: FloatArray, cutoff: float) -> NDArray[np.bool_]:
    """Decide which precursors stay in the library, by the probability of each row's own charge (n,).

    A target stays if its probability reaches the cut-off or is the highest of its peptidoform. Rows of one elution
    group and charge (its channels) stay or leave together: they stay if one of them does.
    """
    n = len(precursor_df)
    peptidoform = precursor_df.groupby(PEPTIDOFORM, sort=False).ngroup().to_numpy()
    best = np.full(peptidoform.max() + 1 if n else 0, -np.inf)
    np.maximum.at(best, peptidoform, probability)
    stays = (probability >= cutoff) | (probability >= best[peptidoform])
    if "elution_group_idx" not in precursor_df.columns:
        return np.asarray(stays)
    unit = precursor_df.groupby(["elution_group_idx", "charge"], sort=False).ngroup().to_numpy()
    unit_stays = np.bincount(unit[stays], minlength=unit.max() + 1 if n else 0) > 0
    return np.asarray(unit_stays[unit])


def renumber(precursor_df: pd.DataFrame) -> None:
    """Close the gaps in ``precursor_idx`` and ``elution_group_idx`` in place, keeping order and equality."""
    for column in ("precursor_idx", "elution_group_idx"):
        if column in precursor_df.columns:
            old = precursor_df[column].to_numpy()
            precursor_df[column] = np.unique(old, return_inverse=True)[1].astype(old.dtype)


def _first_channels(df: pd.DataFrame) -> NDArray[np.intp]:
    """Return for each row (n,) that of the lowest channel of its precursor; alone it is itself.

    Channels elute and break alike, as alphaDIA copies them: a decoy channel, whose label no model has learnt, must not
    be told from the others by what is predicted for it.
    """
    group = ["elution_group_idx", "charge", "sequence"]
    rows = pd.Series(np.arange(len(df)), dtype=np.intp)
    if not {"channel", *group} <= set(df.columns):
        return rows.to_numpy()
    ordered = df.reset_index(drop=True).sort_values("channel", kind="stable")
    groups = ordered.groupby(group, sort=False)["channel"]
    first = rows[ordered.index].groupby([ordered[c] for c in group], sort=False).transform("first")
    return first.where(ordered["channel"] > groups.transform("min"), rows).sort_index().to_numpy(np.intp)


def _apply_charge(job: _Job) -> None:
    if job.models.charge_cutoff is None:
        return
    probabilities = _predict_peptidoforms(job, job.models.predictor.predict_charge_probabilities)
    predict.check_values(probabilities, "charge probability")
    charge = job.df["charge"].to_numpy()
    keep = rows_to_keep(job.df, probability_of_own_charge(probabilities, charge), job.models.charge_cutoff)
    charges, counts = np.unique(charge[~keep], return_counts=True)
    job.notes["dropped_charge_states"] = {int(z): int(n) for z, n in zip(charges, counts, strict=True)}
    if keep.all():
        return
    job.library._precursor_df = job.df[keep].reset_index(drop=True)
    renumber(job.df)
    fragments.make_dense(job.library)


def _apply_rt(job: _Job) -> None:
    rt = _predict_peptidoforms(job, job.models.predictor.predict_rt_array)[_first_channels(job.df)]
    column = storage.first_of(storage.RT_COLUMNS, job.df)
    _judge(job, "rt", rt, None if column is None else job.df[column], f"column '{column}'")
    job.replace_columns(storage.RT_COLUMNS, {"rt_pred": rt, "rt_norm_pred": rt})


def _apply_ccs(job: _Job) -> None:
    if "precursor_mz" not in job.df.columns:
        job.library.calc_precursor_mz()
    ccs = np.asarray(job.models.predictor.predict_ccs_array(fragments.model_input(job.df)), dtype=np.float32)
    ccs = ccs[_first_channels(job.df)]
    column = storage.first_of(storage.MOBILITY_COLUMNS, job.df)
    # not the mobility itself: its rank is mostly that of the charge
    replaced = None if column is None else storage.ccs_of_mobility(job.df, column)
    _judge(job, "ccs", ccs, replaced, f"column '{column}'")
    mobility = ccs_to_mobility_for_df(job.df.assign(ccs_pred=ccs), "ccs_pred").astype(np.float32)
    job.replace_columns(storage.MOBILITY_COLUMNS, {"ccs_pred": ccs, "mobility_pred": mobility})


def _judge(job: _Job, model: str, values: FloatArray, replaced: pd.Series | None, name: str) -> None:
    predict.check_values(values, model)
    if job.is_new:
        return
    if replaced is None:
        logger.warning("The library holds nothing to compare the tuned %s predictions with.", model)
        return
    job.correlation[model] = predict.rank_correlation(values, replaced)
    predict.check_correlation(model, job.correlation[model], len(job.df), name)


def _apply_ms2(job: _Job) -> None:
    fragments.make_dense(job.library)
    models = job.models
    types = fragments.predicted_types(job.library, models.charged_frag_types, models.predictor.charged_frag_types)
    fragments.fit_columns(job.library, types)
    values, correlations, n_empty, given = fragments.predict_intensities(
        job.library, models.predictor, types, chunk_rows=models.chunk_rows
    )
    if ((first := _first_channels(job.df)) != np.arange(len(first))).any():
        start, stop = (job.df[f"frag_{end}_idx"].to_numpy(np.int64)[first] for end in ("start", "stop"))
        values = values[block_rows(start, stop)]
    if not job.is_new:
        job.correlation["ms2"] = predict.median_correlation(correlations)
        predict.check_correlation("ms2", job.correlation["ms2"], len(job.df), "fragment intensities")
    job.notes["precursors_without_fragments"] = n_empty
    if n_empty:
        logger.warning("%d precursors have no predicted fragment and cannot be found.", n_empty)
    if given:
        job.notes["stays"] = [
            f"the MS2 model did not learn the library's fragments {', '.join(given)}: their intensities stay, on the "
            "scale of those predicted"
        ]
    job.library._fragment_intensity_df = pd.DataFrame(values, columns=job.library._fragment_mz_df.columns)


# In this order: what the charge model drops need not be predicted.
_APPLY: dict[str, Callable[[_Job], None]] = {
    "charge": _apply_charge,
    "rt": _apply_rt,
    "ccs": _apply_ccs,
    "ms2": _apply_ms2,
}


def _load(path: Path, models: TunedModels, digest: Path | None) -> _Job:
    job = _Job(storage.load_library(path) if digest is None else storage.whole_library(path, digest), models)
    storage.sound_library(job.library, models.accepted)
    storage.leave_out_decoys(job.library)
    return job


def tables_to_predict(library_path: Path, models: TunedModels, digest: Path | None = None) -> dict[str, pd.DataFrame]:
    """Return what `regenerate` will ask the models beside the charge model, whose filter is applied here.

    One row per peptidoform for ``rt``, one per precursor for ``ccs`` and ``ms2``, in the order in which they are asked
    for.
    """
    job = _load(library_path, models, digest)
    if "charge" in models.accepted:
        with _blamed("charge"):
            _apply_charge(job)
    first, _ = peptidoform_groups(job.df)
    tables = {"rt": fragments.model_input(job.df.iloc[first])} if "rt" in models.accepted else {}
    return tables | {name: fragments.model_input(job.df) for name in ("ccs", "ms2") if name in models.accepted}


def regenerate(
    library_path: Path, output_path: Path, models: TunedModels, digest: Path | None = None
) -> dict[str, Any]:
    """Write the library of the second pass: accepted models predict, the rest stays what the first pass used.

    Decoys of its own are left out, as they were not learnt as targets were: the search makes them from the tuned
    targets. Where the first pass searched a part of what ``digest`` holds (`storage.whole_library`), all of it is
    predicted. It is read as alphaDIA saves it in the first pass, dense (``speclib.hdf``); an existing output is
    replaced in one step.

    Returns what was done, as plain values: precursors (rows of ``precursor_df``) and fragments (with an intensity above
    zero) ``_before`` and ``_after``, decoys left out; ``charge_cutoff``, the probability below which charge states were
    dropped (None: not done), and ``dropped_charge_states``, how many precursors per charge; ``correlation`` with the
    values replaced, Spearman's for ``rt`` and ``ccs``, the median over precursors of Pearson's for ``ms2``, NaN where
    the old values say nothing; ``precursors_without_fragments``, None where none were predicted; ``stays``, what could
    not be predicted and is as it was; ``seconds`` per stage; ``rates``, precursors per second of prediction, by model.

    Raises LibraryError if it cannot be read or has precursors that the models cannot represent,
    PredictionError if predictions are unusable or unrelated to what they replace (nothing is written then), OutputError
    if it cannot be written.
    """
    begin = time.perf_counter()
    job = _load(library_path, models, digest)
    job.seconds["load"] = time.perf_counter() - begin
    return {"library_path": str(library_path), **_predict(job, output_path)}


def predict_new(precursor_df: pd.DataFrame, output_path: Path, models: TunedModels) -> dict[str, Any]:
    """Write a library of precursors of which nothing has been predicted, with what ``accepted`` models predict.

    Returns what `regenerate` does, without ``library_path``; errors as there. Rows that no search can use are left out.
    """
    library = storage.unpredicted_library(storage.sound_precursors(precursor_df), models.charged_frag_types)
    return _predict(_Job(library, models, is_new=True), output_path)


def _predict(job: _Job, output_path: Path) -> dict[str, Any]:
    before, models = _counts(job.library), job.models
    stages = [name for name in _APPLY if name in models.accepted]
    for name in stages:
        with job.timed(name), _blamed(name):
            _APPLY[name](job)
    with job.timed("write"):
        storage.save_library(job.library, output_path)
    after = _counts(job.library)
    return {
        "output_path": str(output_path),
        "accepted": [name for name in MODEL_NAMES if name in models.accepted],
        "dropped_charge_states": {},
        "precursors_without_fragments": None,
        "stays": [],
        "precursors_before": before[0],
        "precursors_after": after[0],
        "fragments_before": before[1],
        "fragments_after": after[1],
        "charge_cutoff": models.charge_cutoff if "charge" in models.accepted else None,
        "correlation": job.correlation,
        "seconds": job.seconds,
        "rates": {n: (before if n == "charge" else after)[0] / max(job.seconds[n], 1e-9) for n in stages},
        **job.notes,
    }


@contextmanager
def _blamed(model: str) -> Iterator[None]:
    try:
        yield
    except PredictionError as error:
        error.model = model
        raise


def _counts(library: SpecLibBase) -> tuple[int, int]:
    return len(library._precursor_df), int(np.count_nonzero(library._fragment_intensity_df.to_numpy()))
