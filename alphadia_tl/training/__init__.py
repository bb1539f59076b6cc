"""The epoch loop: schedule, early stopping, batches, history. Torch only."""

from alphadia_tl.training.annealing import anneal
from alphadia_tl.training.checkpoint import Checkpoint, identity_of
from alphadia_tl.training.examples import Batch, Examples, SparseSites, length_batches, training_steps
from alphadia_tl.training.history import HISTORY_COLUMNS, History
from alphadia_tl.training.inference import infer
from alphadia_tl.training.loop import FitResult, fit
from alphadia_tl.training.precision import autocast, hardware_has_bf16, select_dtype
from alphadia_tl.training.schedule import CustomScheduler
from alphadia_tl.training.settings import FitSettings, auto_batch_size, auto_epoch_rows, auto_passes
from alphadia_tl.training.side_by_side import run_side_by_side
from alphadia_tl.training.stopping import EarlyStopping, StopReason

__all__ = [
    "HISTORY_COLUMNS",
    "Batch",
    "Checkpoint",
    "CustomScheduler",
    "EarlyStopping",
    "Examples",
    "FitResult",
    "FitSettings",
    "History",
    "SparseSites",
    "StopReason",
    "anneal",
    "auto_batch_size",
    "auto_epoch_rows",
    "auto_passes",
    "autocast",
    "fit",
    "hardware_has_bf16",
    "identity_of",
    "infer",
    "length_batches",
    "run_side_by_side",
    "select_dtype",
    "training_steps",
]
