"""How far stages are from what the hardware allows: matrix products at full speed, plain reading and writing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from alphadia_tl.step.step_settings import usable_processors
from timing.libraries import PRECURSORS_PER_RUN, STORED, digest_of, made_library
from timing.measure import Row, row, timed

PREDICTED = 2_000
TRAINED = 500
BATCH = 64
SIDE = 2048
FORWARD_AND_BACKWARD = 3


def floor() -> Iterator[Row]:
    """Compare each stage with its floor."""
    from finetuning.domains import DATA

    yield from _tables()
    if not DATA.is_dir():
        print("floor of the networks: skipped, the measured weights are not there (ALPHADIA_TL_DATA)")
        return
    yield from _networks()


def _row(stage: str, size: int, ours: list[float], floors: list[float], note: str) -> Row:
    line = row(stage, size, ours, note=note)
    return line | {"floor": min(floors), "times": line["ours"] / min(floors)}


def _tables() -> Iterator[Row]:
    """Collect, write and load, against reading and writing the same files or bytes."""
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    import pyarrow.parquet as pq
    from alphabase.peptide.fragment import get_charged_frag_types
    from library.conftest import make_precursors, write_run

    from alphadia_tl.library.collect import Wanted, collect
    from alphadia_tl.settings import TransferLibrarySettings
    from alphadia_tl.speclib.storage import load_library, save_library

    precursors = make_precursors(PRECURSORS_PER_RUN // 2, np.random.default_rng(0))
    types, settings = list(get_charged_frag_types(["b", "y"], 2)), TransferLibrarySettings()
    with tempfile.TemporaryDirectory() as name:
        runs = [write_run(Path(name) / f"run_{i}", precursors, seed=i).folder for i in range(4)]
        files = [f for run in runs for f in sorted(run.glob("*.parquet"))]

        def ours() -> Any:
            return collect(runs, settings, Wanted(types), fail_fast=True, generator=np.random.default_rng(0))

        _, seconds = timed(ours)
        _, reading = timed(lambda: [pq.read_table(f) for f in files])
        yield _row("transfer library", len(runs) * len(precursors), seconds, reading, "floor: pyarrow reads the files")
        library, path = made_library(STORED), Path(name) / "speclib.hdf"
        frames = (library._precursor_df, library._fragment_mz_df, library._fragment_intensity_df)
        arrays = [f.select_dtypes("number").to_numpy() for f in frames]
        plain = Path(name) / "plain.npz"
        _, seconds = timed(lambda: save_library(library, path))
        _, writing = timed(lambda: np.savez(plain, *arrays))
        yield _row("writing a library", STORED, seconds, writing, "floor: its numbers with numpy, uncompressed")
        _, seconds = timed(lambda: load_library(path))
        _, reading = timed(lambda: [np.load(plain)[k] for k in np.load(plain).files])
        yield _row("loading a library", STORED, seconds, reading, "floor: its numbers with numpy, uncompressed")


def _networks() -> Iterator[Row]:
    """Predict with and train each network, against large matrix products with as many operations."""
    import torch
    from finetuning.tuners import WEIGHTS
    from torch.utils.flop_counter import FlopCounterMode

    from alphadia_tl.models.manager import FinetuneManager
    from alphadia_tl.tasks.predict import choose_dtype
    from alphadia_tl.training.epoch import Learner, make_optimizer, train_epoch
    from alphadia_tl.training.schedule import FitSettings

    torch.set_num_threads(usable_processors())
    manager = FinetuneManager("cpu", models=WEIGHTS, nce=25, instrument="Lumos")
    df = digest_of(2 * PREDICTED).precursor_df.sample(PREDICTED, random_state=0).reset_index(drop=True)
    predict: dict[str, Callable[[Any], Any]] = {
        "rt": manager.predict_rt_array,
        "ccs": manager.predict_ccs_array,
        "ms2": manager.predict_ms2_array,
    }
    for name, call in predict.items():
        network, task = manager.interface(name).model, manager._task(name)
        examples = task.encode(df.assign(nce=25.0, instrument="Lumos"))
        dtype = choose_dtype(task, network, examples, "auto")
        with FlopCounterMode(display=False) as counter:
            call(df)
        flops = (counter.get_total_flops() + lstm_flops(network, df["nAA"].to_numpy())) / len(df)
        rate = product_rate(dtype)
        told = f"{flops / 1e6:.0f} MFLOP a precursor forwards; floor: products at {rate / 1e9:.0f} GFLOP/s"
        _, seconds = timed(lambda call=call: call(df))
        yield _row(f"predicting {name.upper()}", len(df), seconds, [flops * len(df) / rate], told)
        optimizer = make_optimizer(network, 1e-9, 0.0)

        def train(
            network: Any = network, task: Any = task, examples: Any = examples, optimizer: Any = optimizer
        ) -> float:
            generator = torch.Generator().manual_seed(0)
            learner = Learner(network, task.forward, lambda output, _: output.square().mean(), generator)
            settings = FitSettings(max_lr=1e-9, batch_size=BATCH, epoch_rows=TRAINED)
            return train_epoch(learner, examples, optimizer, settings)

        _, seconds = timed(train)
        least = FORWARD_AND_BACKWARD * flops * TRAINED / product_rate(None)
        yield _row(
            f"training {name.upper()}, batches of {BATCH}", TRAINED, seconds, [least], "fp32; backwards counts twice"
        )


def lstm_flops(network: Any, lengths: Any) -> int:
    """Return the operations of the network's LSTM layers, which PyTorch's counter does not know.

    For each position, layer and direction four gates of products with the input and the state.
    """
    import torch

    per_position = sum(
        2 * (p.shape[0] * p.shape[1])
        for module in network.modules()
        if isinstance(module, torch.nn.LSTM)
        for key, p in module.named_parameters()
        if key.startswith("weight_")
    )
    return int(per_position * (lengths + 2).sum())


def product_rate(dtype: Any) -> float:
    """Return the operations a second of large matrix products."""
    import torch

    a = torch.randn(SIDE, SIDE).to(dtype or torch.float32)
    _, seconds = timed(lambda: a @ a, 5)
    return 2 * SIDE**3 / min(seconds)
