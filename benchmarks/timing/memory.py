"""Peak memory of predicting and writing large libraries, each in a process of its own.

python benchmarks/timing/memory.py 100000              # what the stage starts
python benchmarks/timing/memory.py 1000000 --shallow

A million precursors take the better part of an hour on two cores. What a library needs grows with its rows, what the
networks need with the batch, which is the same for all sizes. So the large sizes are predicted by networks without
their hidden layers, and one size by both, to see what the layers add.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alphadia_tl.step.step_settings import usable_processors
from alphadia_tl.workflow.layout import peak_mb

FULL_SIZES = (50_000, 100_000)
SHALLOW_SIZES = (100_000, 250_000, 500_000, 1_000_000)


def memory() -> Iterator[dict[str, object]]:
    """Predict and write libraries of doubling size."""
    from finetuning.domains import DATA

    from timing.measure import row

    if not DATA.is_dir():
        print("memory: skipped, the measured weights are not there (ALPHADIA_TL_DATA)")
        return
    for size, extra in [(n, []) for n in FULL_SIZES] + [(n, ["--shallow"]) for n in SHALLOW_SIZES]:
        done = subprocess.run([sys.executable, __file__, str(size), *extra], check=True, capture_output=True, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        note = (
            f"{told['peak_gb']:.2f} GB at most, {told['before_gb']:.2f} GB with the digest alone; "
            f"{size / told['predict']:,.0f} precursors/s; of it {told['write']:.0f} s writing"
        )
        stage = f"memory of predicting and writing{', without hidden layers' if extra else ''}"
        yield row(stage, size, [told["predict"] + told["write"]], note=note)


def peak_gb() -> float:
    """Return the most memory that this process has had."""
    return peak_mb() * 1024**2 / 1e9


def without_hidden_layers(manager: Any) -> None:
    """Take the layers out of the networks that cost nearly all of the time."""
    import torch

    class NoLayers(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (x,)

    manager.interface("ms2").model.hidden_nn = NoLayers()
    for name, encoder in (("rt", "rt_encoder"), ("ccs", "ccs_encoder")):
        network = getattr(manager.interface(name).model, encoder)
        lstm = network.hidden_nn.rnn
        network.hidden_nn = torch.nn.Linear(lstm.input_size, 2 * lstm.hidden_size)


def main(size: int, *, shallow: bool = False) -> None:
    """Predict one library and print what it took."""
    import torch
    from finetuning.tuners import WEIGHTS

    from alphadia_tl.host.hooks import prediction_class
    from alphadia_tl.models.manager import FinetuneManager
    from alphadia_tl.speclib.storage import save_library
    from timing.libraries import digest_of

    torch.set_num_threads(usable_processors())
    digest = digest_of(size)
    manager = FinetuneManager("cpu", models=WEIGHTS, nce=25, instrument="Lumos")
    if shallow:
        without_hidden_layers(manager)
    step = prediction_class(manager)(use_gpu=False, mp_process_num=1, nce=25, peptdeep_model_type="generic")
    before = peak_gb()
    started = time.perf_counter()
    library = step.forward(digest)
    predicted = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        save_library(library, Path(folder) / "speclib.hdf")
    told = {"before_gb": before, "predict": predicted - started, "write": time.perf_counter() - predicted}
    print(json.dumps(told | {"peak_gb": peak_gb(), "size": len(library.precursor_df)}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(int(sys.argv[1]), shallow="--shallow" in sys.argv[2:])
