"""Last epochs on all rows but the test rows, with a learning rate that falls to zero."""

from __future__ import annotations

import copy
import logging
import math

import torch

from alphadia_tl.training.epoch import make_optimizer, seeded, train_epoch
from alphadia_tl.training.examples import Examples
from alphadia_tl.training.inference import Forward, Loss
from alphadia_tl.training.loop import FitResult
from alphadia_tl.training.settings import FitSettings
from alphadia_tl.training.side_by_side import stop_if_cancelled

__all__ = ["anneal"]

logger = logging.getLogger(__name__)


def anneal(
    network: torch.nn.Module,
    examples: Examples,
    forward: Forward,
    loss: Loss,
    settings: FitSettings,
    fitted: FitResult,
    generator: torch.Generator,
    *,
    epochs: int,
    dtype: torch.dtype | None = None,
) -> int:
    """Train on, with a learning rate that grows during one epoch and then falls to zero.

    Early stopping has found how fast and how long to train; what it held back for that is now learnt
    from as well. At most twice as many epochs are trained as led to the best one, from the learning
    rate that it had.

    Parameters
    ----------
    network : torch.nn.Module
        Network with the weights of its best epoch; trained in place.
    examples : Examples
        Training and validation rows.
    forward, loss, settings, generator, dtype
        As for `fit`.
    fitted : FitResult
        Result of `fit`.
    epochs : int
        At most this many.

    Returns
    -------
    int
        Epochs trained; 0 when no epoch had been better than the start, or when the loss was not finite
        and the weights were put back.
    """
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
            group["lr"] = fitted.best_lr * fraction
        step += 1

    with seeded(generator, examples.lengths.device, dropout=settings.dropout):
        for epoch in range(n_epochs):
            stop_if_cancelled()
            train_loss = train_epoch(
                network,
                examples,
                forward,
                loss,
                optimizer,
                settings.batch_size,
                generator,
                dtype=dtype,
                passes=settings.passes,
                rows=settings.epoch_rows,
                dropout=settings.dropout,
                before_step=set_lr,
            )
            if not math.isfinite(train_loss):
                logger.warning("Last epoch %d: the training loss is not finite; the best epoch's weights stay.", epoch)
                network.load_state_dict(before)
                return 0
    network.eval()
    logger.info(
        "%d last epochs on training and validation rows, learning rate %.5f falling to 0: training loss %.4f",
        n_epochs,
        fitted.best_lr,
        train_loss,
    )
    return n_epochs
