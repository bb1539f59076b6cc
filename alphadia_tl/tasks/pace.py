"""How long and how fast a model is trained: the user's settings, and the model's own where there is none."""

from __future__ import annotations

from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks.base import Task
from alphadia_tl.training import FitSettings, auto_batch_size, auto_epoch_rows, auto_passes

__all__ = ["fit_settings_of", "most_epochs"]

#: A learning rate that is lower than the model's own gets at most this many times its epochs.
MOST_TIMES_THE_EPOCHS = 3


def fit_settings_of(task: Task, settings: TrainingSettings, n_rows: int) -> FitSettings:
    """Return how long and how fast to train on ``n_rows`` rows; what the user left open follows from them."""
    epoch_rows = auto_epoch_rows(n_rows, task.epoch_rows)
    batch_size = settings.batch_size or auto_batch_size(epoch_rows, task.max_batch, task.min_steps)
    return FitSettings(
        max_lr=settings.max_lr or task.max_lr,
        safe_lr=task.max_lr,
        weight_decay=task.weight_decay,
        batch_size=batch_size,
        passes=1 if settings.batch_size else auto_passes(epoch_rows, batch_size),
        epoch_rows=epoch_rows,
        dropout=task.dropout,
        epochs=most_epochs(task, settings),
        warmup_epochs=settings.warmup_epochs,
        lr_patience=settings.lr_patience,
        stopping_patience=settings.stopping_patience,
    )


def most_epochs(task: Task, settings: TrainingSettings) -> int:
    """Return the most epochs: the user's, or the model's own, of which a lower learning rate is given more."""
    if settings.epochs is not None:
        return settings.epochs
    slower = task.max_lr / (settings.max_lr or task.max_lr)
    return round(task.epochs * min(MOST_TIMES_THE_EPOCHS, max(1.0, slower)))
