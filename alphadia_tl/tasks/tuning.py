"""Tune one model: split by peptide, score, train, restore the best epoch, score again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from alphadia_tl.errors import DataError
from alphadia_tl.library.selection import split_by_peptide
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks.base import Evaluation, Task, TaskData, as_numpy
from alphadia_tl.tasks.encode import as_one_product
from alphadia_tl.tasks.held_out import PairedScores, TuneResult, count_peptides, held_out_rows
from alphadia_tl.tasks.metrics import Calibration
from alphadia_tl.tasks.predict import choose_dtype
from alphadia_tl.tasks.sanity import check_pretrained, rows_to_check
from alphadia_tl.tasks.scalar import ScalarTask
from alphadia_tl.training.epoch import Learner, infer
from alphadia_tl.training.examples import Examples
from alphadia_tl.training.loop import FitResult, anneal, fit
from alphadia_tl.training.schedule import FitSettings, auto_batch_size, auto_epoch_rows, auto_passes
from alphadia_tl.training.state import Checkpoint, History, identity_of

logger = logging.getLogger(__name__)

MOST_TIMES_THE_EPOCHS = 3  # is what a learning rate gets that is lower than the model's own


def fit_settings_of(task: Task, settings: TrainingSettings, n_rows: int) -> FitSettings:
    """Return how long and how fast to train on ``n_rows`` rows; what the user left open follows from them."""
    epoch_rows = auto_epoch_rows(n_rows, task.epoch_rows)
    batch_size = settings.batch_size or auto_batch_size(epoch_rows, task.max_batch, task.min_steps)
    slower = max(1.0, task.max_lr / (settings.max_lr or task.max_lr))
    return FitSettings(
        max_lr=settings.max_lr or task.max_lr,
        safe_lr=task.max_lr,
        weight_decay=task.weight_decay,
        batch_size=batch_size,
        passes=1 if settings.batch_size else auto_passes(epoch_rows, batch_size),
        epoch_rows=epoch_rows,
        dropout=task.dropout,
        epochs=round(task.epochs * min(MOST_TIMES_THE_EPOCHS, slower)) if settings.epochs is None else settings.epochs,
        warmup_epochs=settings.warmup_epochs,
        lr_patience=settings.lr_patience,
        stopping_patience=settings.stopping_patience,
    )


SPLITS = ("train", "validation", "test")
WATCHED_ROWS = 600  # of the validation rows are looked at after each epoch


@dataclass(frozen=True)
class _Scorer:
    """Scores a network on the validation or test rows, calibrated on the validation rows."""

    task: Task
    network: torch.nn.Module
    splits: dict[str, Examples]
    dtype: torch.dtype | None

    def score(self, split: str, calibration: Calibration | None = None) -> tuple[float, Evaluation, Calibration | None]:
        examples = self.splits[split]
        outputs, loss = infer(self.network, examples, self.task.forward, loss=self.task.loss, dtype=self.dtype)
        predictions = self.task.finish(outputs, examples)
        if split != "test":
            calibration = self.task.calibrate(predictions, examples)
        return loss, self.task.evaluate(predictions, examples, calibration), calibration


@dataclass(frozen=True)
class TuneSettings:
    """How a model is tuned.

    ``seed`` is for splitting, shuffling and dropout; ``precision`` is "auto", "fp32" or "bf16". ``baseline`` puts the
    rows to the pretrained network where it is to be compared as something else asked it before (None: as they are).
    With ``from_scratch`` the network's weights are random: what they predict is not checked. ``checkpoints`` is the
    folder in which a training that was killed has left how far it had come, and in which this one does.
    """

    training: TrainingSettings
    seed: int = 0
    precision: str = "auto"
    baseline: Callable[[Examples], Examples] | None = None
    from_scratch: bool = False
    checkpoints: Path | None = None


def tune(
    task: Task,
    network: torch.nn.Module,
    data: TaskData,
    settings: TuneSettings,
    *,
    fold: int = 0,
    fitted: FitResult | None = None,
) -> TuneResult:
    """Tune ``network`` (the ``model`` of peptdeep's interface), on its device, in place on ``data``.

    Folds of one seed have different test peptides; further ones are trained at once by what the first found, its
    ``fitted``, on all other rows. Raises DataError where the data cannot be used or a split gets no
    peptide, BaselineError where the network's predictions are unusable or unrelated to the data before any training.
    """
    seed, baseline = settings.seed, settings.baseline
    device = next(network.parameters()).device
    prepared = task.prepare(data)
    rows = split_rows(task, prepared.sequences, settings, fold)
    splits = {name: prepared.examples.select(torch.from_numpy(r)).to(device) for name, r in rows.items()}
    dtype = choose_dtype(task, network, splits["train"], settings.precision, training=True)
    splits["watched"] = _watched(splits["validation"], seed)
    scorer = _Scorer(task, network, splits, dtype)
    history = History(task.name)
    first = scorer if baseline is None else replace(scorer, splits={k: baseline(v) for k, v in splits.items()})
    val_loss, on_validation, calibration = first.score("validation")
    if splits["watched"] is not splits["validation"]:
        val_loss, _, _ = first.score("watched")
    _, before, _ = first.score("test", calibration)
    history.add(-1, "validation", {"val_loss": val_loss, **on_validation.metrics})
    history.add(-1, "test", before.metrics)
    _log_metrics(f"Pretrained {task.title} model tested on validation dataset", on_validation.metrics)
    if not settings.from_scratch and fold == 0:  # further folds have the same data
        checked = rows_to_check(rows["validation"], rows["train"])
        examples = prepared.examples.select(torch.from_numpy(checked)).to(device)
        check_pretrained(task, network, examples, prepared.sequences[checked], loss=val_loss, dtype=dtype)
    train = splits["train"]
    fit_settings = fit_settings_of(task, settings.training, len(train))
    _log_settings(task, settings.training, fit_settings, splits, dtype)
    started = time.perf_counter()
    start_weights = {k: v.clone() for k, v in network.state_dict().items()}
    if task.warm_starts:
        task.warm_start(network, infer(network, train, task.forward, dtype=dtype)[0], train)

    def validate() -> tuple[float, dict[str, float]]:
        loss, evaluation, _ = scorer.score("watched")
        return loss, evaluation.metrics

    learner = Learner(network, task.forward, task.loss, torch.Generator().manual_seed(seed), dtype)
    improved, most = True, task.last_epochs
    if fitted is not None:
        most = min(most or fitted.best_epoch + 1 - fitted.epochs_given_up, 2 * fit_settings.epochs)
        rate = task.falling_lr * fitted.highest_lr
        fitted = replace(fitted, highest_lr=rate, best_epoch=most, epochs_given_up=0)
    else:
        checkpoint = None
        if settings.checkpoints is not None:
            identity = identity_of(network, train, splits["watched"], fit_settings, task.name, seed, dtype)
            checkpoint = Checkpoint(settings.checkpoints / f"{task.name}_{fold}.pt", identity)
        start_loss = scorer.score("watched")[0] if task.warm_starts or baseline is not None else val_loss
        with as_one_product(network):
            fitted = fit(
                learner, train, validate, fit_settings, history=history, start_loss=start_loss, checkpoint=checkpoint
            )
        improved = fitted.best_loss <= val_loss
        if not improved:
            network.load_state_dict(start_weights)
    _, tuned, _ = scorer.score("validation")
    last_epochs = 0
    if improved:
        both = torch.from_numpy(np.concatenate([rows["train"], rows["validation"]]))
        learnt = prepared.examples.select(both).to(device)
        with as_one_product(network):
            last_epochs = anneal(learner, learnt, fit_settings, fitted, most)
    seconds = time.perf_counter() - started
    _, _, calibration = scorer.score("validation")
    _, after, _ = scorer.score("test", calibration)
    history.add(max(0, fitted.epochs + last_epochs - 1), "test", after.metrics)
    _log_metrics(f"{task.title} model tested on test dataset", after.metrics)
    return TuneResult(
        name=task.name,
        history=history.to_frame(),
        before=before.metrics,
        after=after.metrics,
        headline=task.headline,
        scores_before=before.scores,
        scores_after=after.scores,
        test_groups=prepared.sequences[rows["test"]],
        test_mods=prepared.mods[rows["test"]],
        training_mods=count_peptides(prepared.sequences[rows["train"]], prepared.mods[rows["train"]]),
        sequences={name: np.unique(prepared.sequences[r]) for name, r in rows.items()},
        n_peptides={name: len(set(prepared.sequences[r])) for name, r in rows.items()},
        n_rows={name: len(r) for name, r in rows.items()},
        stop_reason=fitted.stop_reason,
        best_epoch=fitted.best_epoch if improved else -1,
        epochs=fitted.epochs,
        last_epochs=last_epochs,
        fitted=fitted,
        seconds=seconds,
        observed={"validation": tuned.observed, "test": after.observed},
        measured={
            name: pd.Series(as_numpy(target), index=prepared.sequences[r])
            for name, r in rows.items()
            if (target := splits[name].per_row.get("target")) is not None and target.ndim == 1
        },
        held_out=held_out_rows(task, splits["test"], prepared.precursors.iloc[rows["test"]], before, after),
    )


def score_unseen(
    task: Task,
    networks: tuple[torch.nn.Module, torch.nn.Module],
    data: TaskData,
    unseen: pd.DataFrame,
    calibrate_on: Collection[str],
    settings: TuneSettings,
) -> PairedScores:
    """Score the pretrained and the tuned network on rows that tuning on ``data`` has not seen, as `tune` scores them.

    What the headline forgives is fitted on the data's rows of the sequences ``calibrate_on``. ``unseen`` is a table
    like the data's, of the same fragments; its rows that the model cannot learn from are left out.
    """
    if unseen.empty:
        return PairedScores.none()
    known = data.precursor_df[data.precursor_df["sequence"].isin(calibrate_on)]
    table = task.learnable(pd.concat([known, unseen], join="inner", ignore_index=True))
    prepared = task.prepare(replace(data, precursor_df=table))
    is_unseen = pd.Series(prepared.sequences).isin(unseen["sequence"]).to_numpy()
    if not is_unseen.any():
        return PairedScores.none()
    device = next(networks[0].parameters()).device
    rows = {"validation": np.flatnonzero(~is_unseen), "test": np.flatnonzero(is_unseen)}
    splits = {name: prepared.examples.select(torch.from_numpy(r)).to(device) for name, r in rows.items()}
    found = []
    for network, ask in zip(networks, (settings.baseline, None), strict=True):
        asked = splits if ask is None else {name: ask(examples) for name, examples in splits.items()}
        dtype = choose_dtype(task, network, asked["test"], settings.precision)
        scorer = _Scorer(task, network, asked, dtype)
        calibration = scorer.score("validation")[2] if isinstance(task, ScalarTask) else None
        found.append(scorer.score("test", calibration)[1])
    before, after = found
    name = task.headline.name
    return PairedScores(
        peptides=prepared.sequences[rows["test"]],
        before=before.scores,
        after=after.scores,
        metric_before=before.metrics[name],
        metric_after=after.metrics[name],
    )


def _watched(validation: Examples, seed: int) -> Examples:
    """Return a random sample of the validation rows: epochs of a large set are not to be spent on looking at them."""
    if len(validation) <= WATCHED_ROWS:
        return validation
    rows = torch.randperm(len(validation), generator=torch.Generator().manual_seed(seed))[:WATCHED_ROWS]
    return validation.select(torch.sort(rows)[0].to(validation.lengths.device))


def split_rows(
    task: Task, sequences: NDArray[np.object_], settings: TuneSettings, fold: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Return the row numbers of training, validation and test rows; DataError when one of them has no row."""
    training = settings.training
    fractions = (training.train_fraction, training.validation_fraction, training.test_fraction)
    generator = np.random.default_rng(settings.seed)
    labels = split_by_peptide(sequences, fractions, generator=generator, fold=fold)
    rows = {name: np.flatnonzero(labels == i) for i, name in enumerate(SPLITS)}
    empty = [name for name, r in rows.items() if r.size == 0]
    if empty:
        raise DataError(
            f"{len(set(sequences))} distinct peptides are too few to tune the {task.title} model: "
            f"none is left for {empty[0]}.",
            "The pretrained model can be used as it is.",
        )
    return rows


def _log_settings(
    task: Task,
    settings: TrainingSettings,
    fit_settings: FitSettings,
    splits: dict[str, Examples],
    dtype: torch.dtype | None,
) -> None:
    logger.info("Fine-tuning %s model with the following settings:", task.title)
    for name in SPLITS:
        share, word = getattr(settings, f"{name}_fraction"), name.capitalize()
        logger.info(f"{word} fraction: {share:.2f}  {word} size: {len(splits[name])}")
    rows, precision = fit_settings.rows(len(splits["train"])), "fp32" if dtype is None else "bf16"
    logger.info(
        f"Batch size: {fit_settings.batch_size}  Rows per epoch: {rows}  Max lr: {fit_settings.max_lr:.5f}  "
        f"Precision: {precision}"
    )


def _log_metrics(title: str, metrics: dict[str, float]) -> None:
    logger.info("%s with the following metrics:", title)
    for name, value in metrics.items():
        logger.info("%-30s: %.4f", name, value)
