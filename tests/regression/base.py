"""Base models as good as a user's: PeptDeep's networks, trained on spectra and times that other predictors gave.

Nothing of them is committed: they are trained once, and kept in the work folder.
"""

import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.files import Manifest, hash_of
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.weights import serialised
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.simulate.sample import FRAGMENT_TYPES
from alphadia_tl.simulate.weights import model_zip_path
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.tuning import TuneSettings, tune
from regression.measured import DATA, INSTRUMENT, NCE, read_teacher

MEMBERS = {
    "rt": ("rt_generic", ("generic/rt.pth", "phospho/rt_phos.pth", "digly/rt_digly.pth")),
    "ms2": ("ms2_base", ("generic/ms2.pth",)),
    "ccs": ("ccs_generic", ("generic/ccs.pth",)),
    "charge": ("charge_base", ("generic/charge.pth",)),
}
#: Batch size, greatest learning rate, epochs.
LEARNT = {"rt": (64, 5e-4, 4), "ms2": (64, 4e-4, 28)}
TEACHER, MOST_ACETONITRILE = "prosit_ecoli", 30.0


def make_base(home: Path, *, taught: bool = True) -> Path:
    """Train the base models under a ``HOME``, or take over those that the same settings have made.

    Those that are not taught are the ones of measured data as they are.
    """
    home = home / ("taught" if taught else "measured")
    home.mkdir(parents=True, exist_ok=True)
    path = model_zip_path(home)
    if not taught:
        write_zip(path, {})
        return path
    inputs = {"settings": hash_of({"learnt": {k: list(v) for k, v in LEARNT.items()}, "teacher": TEACHER})}
    Manifest(home, "weights.yaml").once("base weights", inputs, [path], lambda: train_base(path))
    return path


def write_zip(path: Path, trained: dict[str, bytes]) -> None:
    """Write PeptDeep's zip: trained networks, and those of the measured data for the rest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, (file, members) in MEMBERS.items():
            for member in members:
                archive.writestr(member, trained.get(name) or (DATA / "models" / f"{file}.pth").read_bytes())


def train_base(path: Path) -> dict[str, Any]:
    """Train the RT and the MS2 network; return their metrics on held-out peptides. Killed, it goes on where it was."""
    precursor_df, intensities = read_teacher(TEACHER)
    precursor_df["rt_norm"] = (precursor_df["rt"] / MOST_ACETONITRILE).clip(0, 1)
    write_zip(path, {})
    manager = FinetuneManager("cpu", models=path, nce=NCE, instrument=INSTRUMENT)
    trained, metrics = {}, {}
    for name, (batch_size, max_lr, epochs) in LEARNT.items():
        task = get_task(
            name,
            charged_frag_types=FRAGMENT_TYPES,
            supported=manager.charged_frag_types,
            nce=NCE,
            instrument=INSTRUMENT,
        )
        rows = precursor_df.drop_duplicates(["sequence", "mods", "mod_sites"]) if name == "rt" else precursor_df
        settings = TrainingSettings(
            batch_size=batch_size, max_lr=max_lr, epochs=epochs, warmup_epochs=1, train_fraction=0.92,
            validation_fraction=0.04, test_fraction=0.04,
        )  # fmt: skip
        fragments = pd.DataFrame(intensities, columns=FRAGMENT_TYPES) if name == "ms2" else None
        network = manager.interface(name).model
        how = TuneSettings(settings, 1, "auto", from_scratch=True, checkpoints=path.parent / "checkpoints")
        metrics[name] = tune(task, network, TaskData(rows.reset_index(drop=True), fragments), how).after
        trained[name] = serialised(network)
    write_zip(path, trained)
    return {"metrics": metrics}
