"""The two tuners under test, each in its real code with its own defaults."""

from __future__ import annotations

import contextlib
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from alphadia_tl.errors import TransferLearningError
from alphadia_tl.models import gate
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.settings import PluginSettings, TrainingSettings
from finetuning.domains import DATA, FRAG_TYPES, Domain, Table

NCE, INSTRUMENT = 30.0, "Lumos"
DEVICE = "gpu" if torch.cuda.is_available() else "cpu"
CONFIDENCE = 0.95
UNMEASURED = -1.0
STOCK_KEYS = (
    "batch_size",
    "max_lr",
    "train_fraction",
    "validation_fraction",
    "test_fraction",
    "lr_patience",
    "epochs",
    "warmup_epochs",
)
WEIGHTS = {
    "rt": DATA / "models" / "rt_generic.pth",
    "ms2": DATA / "models" / "ms2_base.pth",
    "charge": DATA / "models" / "charge_base.pth",
    "ccs": DATA / "models" / "ccs_generic.pth",
}


@dataclass
class Tuned:
    """What a tuner made of the training rows.

    Attributes
    ----------
    state : dict
        Weights after tuning.
    shipped : dict or None
        Weights after the accept/reject decision; None: the pretrained ones.
    seconds, epochs : float, int
        Time and epochs that it took.
    note : str
        The decision, or what went wrong.
    """

    state: dict[str, torch.Tensor] | None
    shipped: dict[str, torch.Tensor] | None
    seconds: float
    epochs: int
    note: str
    extra: dict[str, Any] = field(default_factory=dict)


def manager(seed: int = 0, **training: Any) -> FinetuneManager:
    """Return our manager with the weights that the domain starts from."""
    return FinetuneManager(
        DEVICE,
        TrainingSettings(**training),
        models=WEIGHTS,
        nce=NCE,
        instrument=INSTRUMENT,
        charged_frag_types=FRAG_TYPES,
        seed=seed,
    )


def state_of(ours: FinetuneManager, model: str) -> dict[str, torch.Tensor]:
    """Return a copy of a model's weights."""
    return {k: v.detach().cpu().clone() for k, v in ours.interface(model).model.state_dict().items()}


def tune_ours(domain: Domain, table: Table, seed: int, **training: Any) -> Tuned:
    """Tune with this package as its step in a search does: not with too few peptides, and the gate decides."""
    ours = manager(seed, **training)
    df = table.df
    peptides, needed = (
        int(df["sequence"].nunique() * ours.settings.train_fraction),
        PluginSettings.min_training_peptides,
    )
    if peptides < needed:
        return Tuned(None, None, 0.0, 0, f"pretrained model kept: {peptides} peptides to train on, {needed} needed")
    started = time.perf_counter()
    try:
        if domain.model == "ms2":
            ours.finetune_ms2(psm_df=df, matched_intensity_df=table.fragments, fragment_mask_df=table.mask)
        elif domain.model == "charge":
            limits = (int(df["charge"].min()), int(df["charge"].max()))
            ours.finetune_charge(psm_df=df, precursor_charge=limits)
        else:
            getattr(ours, f"finetune_{domain.model}")(df)
    except TransferLearningError as e:
        return Tuned(None, None, time.perf_counter() - started, 0, f"not tuned: {e}")
    result = ours.results[domain.model]
    decision = gate.decide(result, confidence=CONFIDENCE, generator=np.random.default_rng([seed, 2]))
    seconds = time.perf_counter() - started
    state = state_of(ours, domain.model)
    extra = {"best_epoch": result.best_epoch, "stop": str(result.stop_reason)}
    return Tuned(
        state, state if decision.accepted else None, seconds, result.epochs + result.last_epochs, decision.reason, extra
    )


def stock_settings() -> dict[str, Any]:
    """Return the settings with which alphaDIA's transfer step calls its tuner when it is merely switched on."""
    import alphadia

    config = yaml.safe_load((Path(alphadia.__file__).parent / "constants" / "default.yaml").read_text())
    section = config["transfer_learning"]
    return {key: section[key] for key in STOCK_KEYS}


def tune_stock(domain: Domain, table: Table, seed: int, *, of_class: bool = False) -> Tuned:
    """Tune with alphaDIA's own manager and defaults: those of its config, or with ``of_class`` those of the class.

    It is helped in three things: its random numbers are seeded, which it does not do itself, the
    weights of the benchmark are the ones it finds installed, and fragments that were not measured
    count for nothing (`leave_out_unmeasured`). Where it fails, the message is kept and the
    pretrained model counts as its result.
    """
    import alphadia.reporting.reporting  # noqa: F401  gives loggers the level that the tuner logs at
    from alphadia.transferlearning.train import FinetuneManager as StockManager

    np.random.seed(seed)  # noqa: NPY002  that is where pandas' sample takes its numbers from
    torch.manual_seed(seed)
    with installed_weights():
        settings = {} if of_class else stock_settings()
        stock = StockManager(device=DEVICE, nce=NCE, instrument=INSTRUMENT, **settings)
    df = table.df.copy()
    epochs = _count_epochs(getattr(stock, f"{domain.model}_model"))
    started = time.perf_counter()
    try:
        if domain.model == "ms2":
            leave_out_unmeasured(stock)
            stock.finetune_ms2(df, table.fragments.where(table.mask, UNMEASURED))  # type: ignore[union-attr]
        else:
            getattr(stock, f"finetune_{domain.model}")(df)
    except Exception as e:  # what fails in the other tuner is a result, not an error of the benchmark
        return Tuned(None, None, time.perf_counter() - started, len(epochs), f"failed: {type(e).__name__}: {e}")
    seconds = time.perf_counter() - started
    network = getattr(stock, f"{domain.model}_model").model
    state = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
    return Tuned(state, state, seconds, len(epochs), "always used")


def measured_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error, alphaDIA's loss, of the fragments that were measured."""
    measured = target >= 0
    return torch.nn.functional.l1_loss(predicted[measured], target[measured])


def leave_out_unmeasured(stock: Any) -> None:
    """Let alphaDIA's tuner neither learn from targets below 0 nor stop by them.

    It validates predictions of which the highest peak of each spectrum is 1: here the highest measured one.
    """
    evaluate = stock._evaluate_metrics
    stock.ms2_model.loss_func = measured_loss

    def evaluate_measured(test_input: dict[str, Any], *args: Any) -> Any:
        measured = test_input["target"].to_numpy() >= 0
        df, predicted = test_input["psm_df"], test_input["predicted"].where(measured, 0.0)
        start, stop = df["frag_start_idx"].to_numpy(), df["frag_stop_idx"].to_numpy()
        apex = np.maximum.reduceat(predicted.to_numpy().max(axis=1), start)
        predicted = predicted.div(np.repeat(np.where(apex > 0, apex, 1), stop - start), axis=0)
        target = test_input["target"].where(measured, 0.0)
        return evaluate({"psm_df": df, "predicted": predicted, "target": target}, *args)

    stock._evaluate_metrics = evaluate_measured


@contextlib.contextmanager
def installed_weights() -> Iterator[None]:
    """Let peptdeep find the benchmark's weights as its installed zip."""
    from peptdeep.settings import global_settings

    before = global_settings["PEPTDEEP_HOME"]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "pretrained_models"
        folder.mkdir()
        with zipfile.ZipFile(folder / global_settings["local_model_zip_name"], "w") as archive:
            for name, file in WEIGHTS.items():
                archive.write(file, f"generic/{name}.pth")
        global_settings["PEPTDEEP_HOME"] = home
        try:
            yield
        finally:
            global_settings["PEPTDEEP_HOME"] = before


def _count_epochs(model: Any) -> list[float]:
    losses: list[float] = []
    one_epoch = model._train_one_epoch

    def counted(*args: Any, **kwargs: Any) -> Any:
        batch_cost = one_epoch(*args, **kwargs)
        losses.append(float(np.mean(batch_cost)))
        return batch_cost

    model._train_one_epoch = counted
    return losses
