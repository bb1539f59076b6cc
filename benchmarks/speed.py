"""Speed of this package's stages against alphaDIA's, on the same inputs, threads and machine, in one run.

    python benchmarks/speed.py                # all stages
    python benchmarks/speed.py predict        # one of: startup, collect, predict
    python benchmarks/speed.py --docs docs    # and write the table into docs/benchmarks.md

Networks have random weights where the measured ones are absent: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]

REPEATS = 3
ROWS = (2_000, 4_000, 8_000, 16_000)
RUNS = (1, 2, 4, 8)
PRECURSORS_PER_RUN = 3_000
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
Row = dict[str, Any]


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[Any, list[float]]:
    """Return the last result and the seconds of each call."""
    seconds, result = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return result, seconds


def row(stage: str, size: int, ours: list[float], stock: list[float], note: str = "") -> Row:
    """Return one line of the table."""
    ratios = [s / o for o, s in zip(ours, stock, strict=True)]
    return {
        "stage": stage,
        "size": size,
        "ours": statistics.median(ours),
        "stock": statistics.median(stock),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "note": note,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def startup() -> Iterator[Row]:
    """Time from the command to its version."""

    def run(module: str) -> list[float]:
        return timed(
            lambda: subprocess.run([sys.executable, "-m", module, "--version"], check=True, capture_output=True)
        )[1]

    yield row("start-up (--version)", 1, run("alphadia_tl.cli"), run("alphadia.cli"))


def collect() -> Iterator[Row]:
    """Collect the transfer library from quantification folders, quality control included."""
    from alphabase.peptide.fragment import get_charged_frag_types
    from alphadia.outputtransform.outputaccumulator import AccumulationBroadcaster, TransferLearningAccumulator
    from library.conftest import make_precursors, write_run

    from alphadia_tl.library import collect as collect_ours
    from alphadia_tl.settings import TransferLibrarySettings

    types = list(get_charged_frag_types(["b", "y"], 2))
    precursors = make_precursors(PRECURSORS_PER_RUN // 2, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        folders = [write_run(Path(folder) / f"run_{i}", precursors, seed=i).folder for i in range(max(RUNS))]
        for n in RUNS:

            def ours(n: int = n) -> Any:
                settings = TransferLibrarySettings()
                return collect_ours(folders[:n], settings, types, fail_fast=True, generator=np.random.default_rng(0))

            def stock(n: int = n) -> Any:
                accumulator = TransferLearningAccumulator(
                    keep_top=3, norm_delta_max=True, precursor_correlation_cutoff=0.5, fragment_correlation_ratio=0.75
                )
                broadcaster = AccumulationBroadcaster(
                    folder_list=[str(f) for f in folders[:n]],
                    number_of_processes=4,
                    processing_kwargs={"charged_frag_types": types},
                )
                broadcaster.subscribe(accumulator)
                broadcaster.run()
                return accumulator.consensus_speclibase

            library, our_seconds = timed(ours)
            _, stock_seconds = timed(stock)
            rate = n * len(precursors) / statistics.median(our_seconds)
            note = f"{rate:,.0f} rows/s; {len(library.precursor_df):,} observations kept"
            yield row(f"transfer library, {len(precursors):,} precursors a run", n, our_seconds, stock_seconds, note)


def predict() -> Iterator[Row]:
    """Predict RT, MS2 and mobility of a digest."""
    import torch
    from alphadia.libtransform.fasta_digest import FastaDigest
    from alphadia.libtransform.prediction import PeptDeepPrediction
    from finetuning.domains import DATA
    from finetuning.tuners import WEIGHTS, installed_weights

    from alphadia_tl.finetune import FinetuneManager
    from alphadia_tl.host.prediction import prediction_class
    from alphadia_tl.simulate.proteome import random_proteome

    if not DATA.is_dir():
        print("predict: skipped, the measured weights are not there (ALPHADIA_TL_DATA)")
        return
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name, installed_weights():
        fasta = Path(name) / "proteome.fasta"
        random_proteome(120, np.random.default_rng(1)).write_fasta(fasta)
        digest = FastaDigest(precursor_charge=[2, 4], precursor_mz=[400, 1200])([str(fasta)])
        full = digest.precursor_df
        manager = FinetuneManager("cpu", models=WEIGHTS, nce=25, instrument="Lumos")

        def run(step_class: type, n: int) -> Any:
            step = step_class(use_gpu=False, mp_process_num=threads, nce=25, peptdeep_model_type="generic")
            library = digest.copy()
            library._precursor_df = full.sample(min(n, len(full)), random_state=0).reset_index(drop=True)
            return step.forward(library)

        for n in (n for n in ROWS if n <= 2 * len(full)):
            ours, our_seconds = timed(lambda n=n: run(prediction_class(manager), n), 2)
            stock, stock_seconds = timed(lambda n=n: run(PeptDeepPrediction, n), 2)
            size = len(ours.precursor_df)
            rate = size / statistics.median(our_seconds)
            yield row(
                "library prediction (RT, MS2, CCS, m/z)",
                size,
                our_seconds,
                stock_seconds,
                f"{rate:,.0f} precursors/s; {_agreement(ours, stock)}",
            )
        yield from _floor(manager, full.head(2000))


def _agreement(ours: Any, stock: Any) -> str:
    from alphadia_tl.metrics import spectral_similarity

    key = ["sequence", "mods", "mod_sites", "charge"]
    both = ours.precursor_df.merge(stock.precursor_df, on=key, suffixes=("", "_stock"))
    ends = [(both[f"frag_start_idx{s}"].to_numpy(), both[f"frag_stop_idx{s}"].to_numpy()) for s in ("", "_stock")]
    rows = [np.concatenate([np.arange(a, b) for a, b in zip(*e, strict=True)]) for e in ends]
    mine, theirs = (lib._fragment_intensity_df.to_numpy()[r] for lib, r in zip((ours, stock), rows, strict=True))
    counts = ends[0][1] - ends[0][0]
    pcc = spectral_similarity(mine, theirs, np.ones(mine.shape, bool), counts)["PCC"]
    rt = np.abs(both["rt_pred"] - both["rt_pred_stock"]).max()
    return f"median PCC to alphaDIA's {np.nanmedian(pcc):.5f}, largest RT difference {rt:.5f}"


def _floor(manager: Any, df: Any) -> Iterator[Row]:
    """Compare the MS2 forward pass with the matrix products that it consists of."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        manager.predict_ms2_array(df)
    flops = counter.get_total_flops()
    _, seconds = timed(lambda: manager.predict_ms2_array(df))
    dtype = torch.bfloat16 if manager.precision == "auto" else torch.float32
    a = torch.randn(2048, 2048).to(dtype)
    _, product = timed(lambda: a @ a, 5)
    floor = flops / (2 * 2048**3 / min(product))
    note = f"{flops / len(df) / 1e6:.0f} MFLOP a precursor; floor: large matrix products in the same precision"
    yield row("MS2 forward pass against its floor (stock = floor)", len(df), seconds, [floor] * len(seconds), note)


STAGES: dict[str, Callable[[], Iterator[Row]]] = {"startup": startup, "collect": collect, "predict": predict}


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| stage | size | ours (s) | alphaDIA (s) | ratio (lowest to highest) | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        spread = f"{r['ratio']:.1f} ({r['lowest']:.1f} to {r['highest']:.1f})"
        lines.append(f"| {r['stage']} | {r['size']:,} | {r['ours']:.2f} | {r['stock']:.2f} | {spread} | {r['note']} |")
    return "\n".join(lines)


def machine() -> str:
    """Describe the machine."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def main() -> int:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=list(STAGES), help=f"some of {', '.join(STAGES)}")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    parser.add_argument("--docs", type=Path, default=None, help="folder of benchmarks.md, whose table is replaced")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    known: list[Row] = json.loads(options.results.read_text()) if options.results.is_file() else []
    for stage in options.stages:
        rows = list(STAGES[stage]())
        print(table(rows), flush=True)
        known = [k for k in known if k["stage"] not in {r["stage"] for r in rows}] + rows
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(known, indent=1) + "\n")
    if options.docs is not None:
        page = options.docs / "benchmarks.md"
        before, rest = page.read_text(encoding="utf-8").split(BEGIN)
        text = f"{before}{BEGIN}\n\nMachine: {machine()}.\n\n{table(known)}\n\n{END}{rest.split(END)[1]}"
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
