"""Start-up, the transfer library, and the prediction and storage of spectral libraries."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from alphadia_tl.step.step_settings import usable_processors
from timing.measure import Row, row, timed

ROWS = (1_000, 2_000, 4_000, 8_000)
RUNS = (1, 2, 4, 8)
PRECURSORS_PER_RUN = 3_000
LARGER_RUNS = (6_000, 12_000, 24_000, 48_000)
STORED = 100_000


def startup() -> Iterator[Row]:
    """Time from the command to its version."""

    def run(module: str) -> list[float]:
        return timed(
            lambda: subprocess.run([sys.executable, "-m", module, "--version"], check=True, capture_output=True)
        )[1]

    yield row("start-up (--version)", 1, run("alphadia_tl.cli"), run("alphadia.cli"))


def collect() -> Iterator[Row]:
    """Collect the transfer library from quantification folders, quality control included."""
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from alphabase.peptide.fragment import get_charged_frag_types
    from alphadia.outputtransform.outputaccumulator import AccumulationBroadcaster, TransferLearningAccumulator
    from library.conftest import make_precursors, write_run

    from alphadia_tl.library.collect import collect as collect_ours
    from alphadia_tl.settings import TransferLibrarySettings

    types = list(get_charged_frag_types(["b", "y"], 2))

    def ours(folders: list[Path]) -> Any:
        settings = TransferLibrarySettings()
        return collect_ours(folders, settings, types, fail_fast=True, generator=np.random.default_rng(0))

    def stock(folders: list[Path]) -> Any:
        accumulator = TransferLearningAccumulator(
            keep_top=3, norm_delta_max=True, precursor_correlation_cutoff=0.5, fragment_correlation_ratio=0.75
        )
        broadcaster = AccumulationBroadcaster(
            folder_list=[str(f) for f in folders],
            number_of_processes=4,
            processing_kwargs={"charged_frag_types": types},
        )
        broadcaster.subscribe(accumulator)
        broadcaster.run()
        return accumulator.consensus_speclibase

    def compared(what: str, size: int, folders: list[Path], n_rows: int) -> Row:
        library, our_seconds = timed(lambda: ours(folders))
        _, stock_seconds = timed(lambda: stock(folders))
        note = f"{n_rows / statistics.median(our_seconds):,.0f} rows/s; {len(library.precursor_df):,} observations kept"
        return row(f"transfer library, {what}", size, our_seconds, stock_seconds, note)

    with tempfile.TemporaryDirectory() as folder:
        precursors = make_precursors(PRECURSORS_PER_RUN // 2, np.random.default_rng(0))
        folders = [write_run(Path(folder) / f"run_{i}", precursors, seed=i).folder for i in range(max(RUNS))]
        for n in RUNS:
            yield compared(f"{len(precursors):,} precursors a run", n, folders[:n], n * len(precursors))
        for n_precursors in LARGER_RUNS:
            larger = make_precursors(n_precursors // 2, np.random.default_rng(0))
            written = write_run(Path(folder) / f"large_{n_precursors}", larger, seed=0).folder
            yield compared("one run by its precursors", len(larger), [written], len(larger))


def predict() -> Iterator[Row]:
    """Predict RT, MS2 and mobility of a digest."""
    import torch
    from alphadia.libtransform.prediction import PeptDeepPrediction
    from finetuning.domains import DATA
    from finetuning.tuners import WEIGHTS, installed_weights

    from alphadia_tl.host.hooks import prediction_class
    from alphadia_tl.models.manager import FinetuneManager

    if not DATA.is_dir():
        print("predict: skipped, the measured weights are not there (ALPHADIA_TL_DATA)")
        return
    threads = usable_processors()
    torch.set_num_threads(threads)
    digest = digest_of(max(ROWS))
    with installed_weights():
        full = digest.precursor_df
        manager = FinetuneManager("cpu", models=WEIGHTS, nce=25, instrument="Lumos")

        def run(step_class: type, n: int) -> Any:
            step = step_class(use_gpu=False, mp_process_num=threads, nce=25, peptdeep_model_type="generic")
            library = digest.copy()
            library._precursor_df = full.sample(min(n, len(full)), random_state=0).reset_index(drop=True)
            return step.forward(library)

        for n in ROWS:
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


def storage() -> Iterator[Row]:
    """Write a library and load it again."""
    from alphabase.spectral_library.base import SpecLibBase

    from alphadia_tl.speclib.storage import load_library, save_library

    library = made_library(STORED)
    size = len(library.precursor_df)
    with tempfile.TemporaryDirectory() as name:
        ours, stock = Path(name) / "ours.hdf", Path(name) / "stock.hdf"
        _, our_seconds = timed(lambda: save_library(library, ours))
        _, stock_seconds = timed(lambda: library.save_hdf(str(stock)))
        megabytes = ours.stat().st_size / 1e6
        yield row(
            "writing a library", size, our_seconds, stock_seconds, f"{megabytes:.0f} MB; ours flushed to the disk"
        )
        _, our_seconds = timed(lambda: load_library(ours))
        _, stock_seconds = timed(lambda: SpecLibBase().load_hdf(str(stock), load_mod_seq=True))
        yield row("loading a library", size, our_seconds, stock_seconds)


def made_library(n: int, seed: int = 1) -> Any:
    """Return a digest of a random proteome with ``n`` precursors and random fragments."""
    import pandas as pd

    library = digest_of(n, seed)
    types = library.charged_frag_types
    rows = int((library._precursor_df["nAA"] - 1).sum())
    rng = np.random.default_rng(seed)
    library._fragment_mz_df = pd.DataFrame(rng.uniform(200, 2000, (rows, len(types))), columns=types)
    library._fragment_intensity_df = pd.DataFrame(rng.random((rows, len(types)), np.float32), columns=types)
    stop = (library._precursor_df["nAA"] - 1).cumsum()
    library._precursor_df["frag_stop_idx"] = stop
    library._precursor_df["frag_start_idx"] = stop - library._precursor_df["nAA"] + 1
    return library


def digest_of(n: int, seed: int = 1) -> Any:
    """Return a digest of a random proteome with at least ``n`` precursors, cut to ``n``."""
    from alphadia.libtransform.fasta_digest import FastaDigest

    from alphadia_tl.simulate.sample import random_proteome

    with tempfile.TemporaryDirectory() as name:
        fasta = Path(name) / "proteome.fasta"
        random_proteome(max(120, n // 100), np.random.default_rng(seed)).write_fasta(fasta)
        digest = FastaDigest(precursor_charge=[2, 4], precursor_mz=[400, 1200])([str(fasta)])
    digest._precursor_df = digest.precursor_df.head(n).reset_index(drop=True)
    return digest


def _agreement(ours: Any, stock: Any) -> str:
    from alphadia_tl.tasks.metrics import spectral_similarity

    key = ["sequence", "mods", "mod_sites", "charge"]
    both = ours.precursor_df.merge(stock.precursor_df, on=key, suffixes=("", "_stock"))
    ends = [(both[f"frag_start_idx{s}"].to_numpy(), both[f"frag_stop_idx{s}"].to_numpy()) for s in ("", "_stock")]
    rows = [np.concatenate([np.arange(a, b) for a, b in zip(*e, strict=True)]) for e in ends]
    mine, theirs = (lib._fragment_intensity_df.to_numpy()[r] for lib, r in zip((ours, stock), rows, strict=True))
    counts = ends[0][1] - ends[0][0]
    pcc = spectral_similarity(mine, theirs, np.ones(mine.shape, bool), counts)["PCC"]
    rt = np.abs(both["rt_pred"] - both["rt_pred_stock"]).max()
    return f"median PCC to alphaDIA's {np.nanmedian(pcc):.5f}, largest RT difference {rt:.5f}"
