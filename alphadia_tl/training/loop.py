"""The training of any model: epochs until no more is gained, then a few that let the learning rate fall."""

from __future__ import annotations

import copy
import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tqdm import tqdm

from alphadia_tl.training.epoch import Learner, make_optimizer, seeded, train_epoch
from alphadia_tl.training.examples import Examples
from alphadia_tl.training.schedule import FitSettings, StopReason
from alphadia_tl.training.side_by_side import stop_if_cancelled
from alphadia_tl.training.state import Checkpoint, History, TrainingState

logger = logging.getLogger(__name__)

Validate = Callable[[], tuple[float, Mapping[str, float]]]

BACK_OFF_ABOVE = 1.1
BACK_OFF_FACTOR = 0.3
MAX_BACK_OFFS = 8
_EPOCH_LINE = "Epoch %d  Lr: %.5f  Training loss: %.4f  validation loss: %.4f"
_START_OVER_LINE = "Epoch %d: the learning rate was too high; the training starts over with the model's own, %.6f"
_BACK_OFF_LINE = "Epoch %d: the validation loss left its best by far; back to epoch %d, learning rate %.6f"


@dataclass(frozen=True)
class FitResult:
    """How a training went.

    ``best_epoch`` is the one whose weights were restored, with its validation loss; -1 when no epoch was better than
    the start. ``highest_lr`` is the highest learning rate that served. ``epochs_given_up`` of the ``epochs`` came
    before the training started over.
    """

    best_epoch: int
    epochs: int
    stop_reason: StopReason
    best_loss: float
    highest_lr: float = 0.0
    epochs_given_up: int = 0


def fit(
    learner: Learner,
    examples: Examples,
    validate: Validate,
    settings: FitSettings,
    *,
    history: History | None = None,
    start_loss: float = math.inf,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Train the network in place and leave it with the weights of its best epoch.

    The weights that are validated, and kept, are an average over the last epochs. Where the validation loss rises by
    more than a tenth above its best, the learning rate was too high: the best weights are put back and all learning
    rates from then on are 0.3 times lower. Where that happens, or early stopping ends the training, at a rate above
    ``settings.safe_lr``, the training starts over with ``settings.safe_lr`` and its epochs count anew.

    ``validate`` returns the validation loss, on the same transform as the training loss, and further metrics;
    ``history`` gets them, the learning rate and both losses of each epoch. ``start_loss`` is the validation loss of the
    start weights, which are restored if no epoch is better. ``checkpoint`` is what to take the training up from, and
    where to leave it.
    """
    history = History("") if history is None else history
    device = examples.lengths.device
    state = TrainingState(
        learner.network, settings, len(examples), start_loss=start_loss, generator=learner.generator, history=history
    )
    bar = tqdm(total=settings.epochs, unit="epoch", leave=False, disable=not sys.stderr.isatty())
    with seeded(learner.generator, device, dropout=settings.dropout), bar:
        if checkpoint is not None and (saved := checkpoint.load()) is not None:
            state.restore(saved)
            bar.update(state.epochs)
            logger.info("Taken up from a checkpoint: %d epochs are trained already", state.epochs)
        while state.reason is None:
            stop_if_cancelled()
            _train_epoch(state, learner, examples, validate, settings)
            bar.update()
            if checkpoint is not None:
                checkpoint.save(state.to_mapping, finished=state.reason is not None)
    best, highest = state.best, state.scheduler.highest()
    learner.network.load_state_dict(best.weights)
    learner.network.eval()
    return FitResult(best.epoch, state.epochs, state.reason, best.loss, highest, state.epochs_given_up)


def _train_epoch(
    state: TrainingState, learner: Learner, examples: Examples, validate: Validate, settings: FitSettings
) -> None:
    """Train one epoch, validate where it is time to, and decide how to go on."""
    epoch = state.epochs
    state.scheduler.step(epoch - state.epochs_given_up, state.train_loss)
    lr = state.scheduler.get_last_lr()[0]
    state.train_loss = train_epoch(
        learner, examples, state.optimizer, settings, limit=state.row_limit, after_step=state.averaged.update
    )
    state.epochs += 1
    last = state.epochs - state.epochs_given_up == settings.epochs
    state.history.add(epoch, "train", {"train_loss": state.train_loss, "lr": lr})
    finite = math.isfinite(state.train_loss)
    val_loss = math.nan
    if finite:
        with state.averaged.applied():
            val_loss, metrics = validate()
            state.best.see(epoch, val_loss, state.network)
        state.history.add(epoch, "validation", {"val_loss": val_loss, **metrics})
    logger.info(_EPOCH_LINE, epoch, lr, state.train_loss, val_loss)
    limit = state.best.loss + (BACK_OFF_ABOVE - 1) * abs(state.best.loss)  # a loss that is not finite is above it
    too_fast = math.isfinite(limit) and not val_loss <= limit and state.back_offs < MAX_BACK_OFFS
    ends = not too_fast and not state.stopping.step(val_loss)
    if (too_fast or ends) and settings.safe_lr is not None and state.scheduler.highest() > settings.safe_lr:
        state.start_over(settings.safe_lr)
        logger.info(_START_OVER_LINE, epoch, settings.safe_lr)
        return
    if too_fast:
        state.back_to_best(BACK_OFF_FACTOR)
        logger.info(_BACK_OFF_LINE, epoch, state.best.epoch, state.scheduler.get_last_lr()[0])
    elif ends:
        state.reason = state.stopping.reason
    if last and state.reason is None:
        state.reason = StopReason.MAX_EPOCHS


def anneal(learner: Learner, examples: Examples, settings: FitSettings, fitted: FitResult, epochs: int) -> int:
    """Train on, with a learning rate that grows during one epoch and then falls to zero; return the epochs trained.

    Early stopping has found how fast and how long to train; what it held back for that is now learnt
    from as well: ``examples`` are training and validation rows. At most ``epochs`` epochs are trained, and at most
    twice as many as led to the best one, from the highest learning rate that served; none where no epoch had been
    better than the start. Where the loss is not finite the weights are put back, and it counts as none.
    """
    network = learner.network
    n_epochs = min(epochs, 2 * (fitted.best_epoch + 1 - fitted.epochs_given_up))
    if n_epochs <= 0:
        return 0
    before = copy.deepcopy(network.state_dict())
    optimizer = make_optimizer(network, settings.max_lr, settings.weight_decay)
    per_epoch = settings.steps(len(examples))
    total, step = n_epochs * per_epoch, 0

    def set_lr() -> None:
        nonlocal step
        fraction = max(0.0, min((step + 1) / per_epoch, 1 - step / total))
        for group in optimizer.param_groups:
            group["lr"] = fitted.highest_lr * fraction
        step += 1

    set_lr()
    with seeded(learner.generator, examples.lengths.device, dropout=settings.dropout):
        for epoch in range(n_epochs):
            stop_if_cancelled()
            train_loss = train_epoch(learner, examples, optimizer, settings, after_step=set_lr)
            if not math.isfinite(train_loss):
                logger.warning("Last epoch %d: the training loss is not finite; the best epoch's weights stay.", epoch)
                network.load_state_dict(before)
                return 0
    network.eval()
    told = f"learning rate {fitted.highest_lr:.5f} falling to 0: training loss {train_loss:.4f}"
    logger.info(f"{n_epochs} last epochs on training and validation rows, {told}")
    return n_epochs
