"""Base PeptDeep weights: trained from scratch on the reference instrument, packed as peptdeep's pretrained zip."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from alphabase.peptide.fragment import get_charged_frag_types

from alphadia_tl.files import write_whole
from alphadia_tl.host.contract import PEPTIDOFORM
from alphadia_tl.models.weights import new_network, serialised
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.simulate.instrument import Instrument
from alphadia_tl.simulate.sample import FRAGMENT_TYPES, Digestion, digest, random_proteome, set_fragment_pointers
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import Task, TaskData
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.tasks.tuning import TuneSettings, tune
from alphadia_tl.training.examples import Batch

logger = logging.getLogger(__name__)

#: What peptdeep's own MS2 weights predict. alphaDIA's transfer step fails with weights that know fewer.
MS2_TYPES = [*FRAGMENT_TYPES, *get_charged_frag_types(["b_modloss", "y_modloss"], 2)]
#: Collision energy and instrument that alphaDIA asks for by default.
NCE, INSTRUMENT = 25.0, "Lumos"
#: Members of the zip; peptdeep knows further sets, which get the same weights.
_MEMBERS = {
    "ms2": ("generic/ms2.pth",),
    "rt": ("generic/rt.pth", "phospho/rt_phos.pth", "digly/rt_digly.pth"),
    "ccs": ("generic/ccs.pth",),
    "charge": ("generic/charge.pth",),
}


@dataclass(frozen=True)
class BaseTraining:
    """How much the base models are trained: proteins (none of which is searched), rows and epochs of each model.

    The seed is that of the proteome, the rows, the initial weights and the training.
    """

    n_proteins: int = 200
    n_rt: int = 4000
    n_charge: int = 2500
    n_ms2: int = 6000
    n_ccs: int = 500
    epochs_rt: int = 10
    epochs_charge: int = 5
    epochs_ms2: int = 5
    epochs_ccs: int = 2
    seed: int = 11


_BATCH = {"rt": 64, "charge": 64, "ms2": 16, "ccs": 64}
_MAX_LR = {"rt": 2e-3, "charge": 1e-3, "ms2": 3e-4, "ccs": 1e-3}


def model_zip_path(home: Path) -> Path:
    """Return where peptdeep looks for its pretrained models if ``HOME`` is `home`."""
    return home / "peptdeep" / "pretrained_models" / "pretrained_models_v3.zip"


def training_table(instrument: Instrument, training: BaseTraining) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return precursors with ``rt_norm`` and ``ccs``, and their fragment intensities, for all four models.

    Charge states are those that more than 10 % of a peptidoform's ions carry, so that the charge model learns what a
    search would observe. CCS follows the usual power law of charge and mass.
    """
    generator = np.random.default_rng(training.seed)
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "training.fasta"
        random_proteome(training.n_proteins, generator, absent_fraction=0.0).write_fasta(fasta)
        df = digest(fasta, Digestion(precursor_mz=(300.0, 1800.0), precursor_charge=(1, 6)))
    row = np.arange(len(df))
    fractions = instrument.charge_probabilities(df, np.arange(1, 7))[row, df["charge"].to_numpy() - 1]
    df = df[fractions > 0.10].reset_index(drop=True)
    df["rt_norm"] = instrument.retention_time(df)
    mass = df["precursor_mz"] * df["charge"]
    df["ccs"] = 12.0 * df["charge"] ** 0.75 * mass**0.5
    df["nce"], df["instrument"] = NCE, INSTRUMENT
    set_fragment_pointers(df)
    return df, pd.DataFrame(instrument.fragment_intensities(df, FRAGMENT_TYPES), columns=FRAGMENT_TYPES)


def train_base_weights(home: Path, instrument: Instrument, training: BaseTraining) -> dict[str, dict[str, float]]:
    """Train all four models on what an instrument does, and write the zip under `home`.

    Returns the metrics of each model on held-out peptides.
    """
    precursor_df, fragment_df = training_table(instrument, training)
    files: dict[str, bytes] = {}
    metrics: dict[str, dict[str, float]] = {}
    for name in _MEMBERS:
        rows = _rows(precursor_df, name, getattr(training, f"n_{name}"), np.random.default_rng(training.seed))
        interface = new_network(name, FRAGMENT_TYPES, seed=training.seed)
        task = _task(name)
        settings = TrainingSettings(
            batch_size=_BATCH[name], max_lr=_MAX_LR[name], epochs=getattr(training, f"epochs_{name}"), warmup_epochs=1,
            lr_patience=1, train_fraction=0.9, validation_fraction=0.05, test_fraction=0.05,
        )  # fmt: skip
        data = TaskData(rows, fragment_df if name == "ms2" else None)
        how = TuneSettings(settings, training.seed, "fp32", from_scratch=True)
        result = tune(task, interface.model, data, how)
        metrics[name] = result.after
        logger.info("Base %s model: %s in %.0f s", name, result.after, result.seconds)
        network = _with_neutral_losses(interface.model) if name == "ms2" else interface.model
        files[name] = serialised(network)
    write_whole(model_zip_path(home), lambda part: _write_zip(part, files))
    return metrics


def _with_neutral_losses(trained: torch.nn.Module) -> Any:
    """Return an MS2 network that predicts what `trained` does, and fragments with neutral losses as never seen."""
    network: Any = new_network("ms2", MS2_TYPES).model
    known = {k: v for k, v in trained.state_dict().items() if k != "_supported_charged_frag_types"}
    network.load_state_dict(network.state_dict() | known)
    last = network.modloss_nn[-1].nn[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return network


class _Ms2FromScratch(Ms2Task):
    """MS2 task with a loss that a network with random weights learns from ten times faster than from L1 alone."""

    last_epochs = 6
    dropout = True

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return one minus the cosine similarity, plus a little L1 that fixes the scale."""
        predicted, target = (output * batch["mask"]).flatten(1), batch["target"].flatten(1)
        similarity = torch.nn.functional.cosine_similarity(predicted, target, dim=1, eps=1e-6)
        distance = torch.nn.functional.l1_loss(predicted, target)
        loss: torch.Tensor = (1.0 - similarity).mean() + 0.5 * distance
        return loss


def _task(name: str) -> Task:
    if name == "ms2":
        return _Ms2FromScratch(FRAGMENT_TYPES, FRAGMENT_TYPES, NCE, INSTRUMENT)
    return get_task(name, charged_frag_types=FRAGMENT_TYPES, supported=None, nce=NCE, instrument=INSTRUMENT)


def _rows(df: pd.DataFrame, name: str, number: int, generator: np.random.Generator) -> pd.DataFrame:
    """Choose rows: whole peptidoforms for the charge model, peptidoforms for RT, precursors for the others."""
    if name == "charge":
        codes = df.groupby(PEPTIDOFORM, sort=False).ngroup().to_numpy()
        chosen = generator.permutation(codes.max() + 1)[:number]
        return df[np.isin(codes, chosen)].reset_index(drop=True)
    if name == "rt":
        df = df.drop_duplicates(PEPTIDOFORM)
    return df.iloc[generator.permutation(len(df))[:number]].reset_index(drop=True)


def _write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, members in _MEMBERS.items():
            for member in members:
                archive.writestr(zipfile.ZipInfo(member), files[name])
