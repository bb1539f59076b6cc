"""Measurements of jobs, as the processes that a workflow runs."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from alphadia_tl.library.selection import EXPECTED_RATE
from alphadia_tl.models.prediction import CHUNK_ROWS
from alphadia_tl.settings import SCOUTED, SCOUTED_RUNS
from alphadia_tl.simulate.experiment import SMALL, make_experiment
from alphadia_tl.workflow.costs import Cost, Costs, bytes_of, rows_in
from alphadia_tl.workflow.layout import Layout, read_receipt
from scaling_jobs.table import Row, row

PROTEINS = (75, 300, 1200)
COPIES = (3, 12, 48)
RAW_FILES = (100, 1000, 10_000)
PAPER = ((100, 100_000), (1000, 1_000_000), (10_000, 5_000_000))
PAPER_RAW_BYTES = 2e9
FLAT_BYTES_PER_PRECURSOR = 1800
PAPER_TUNING_RUNS = 20
MB = 1024**2


def _job(arguments: Sequence[str | Path], home: Path | None = None) -> float:
    """Run a job by hand; return its seconds, start included."""
    environment = {**os.environ, **({"HOME": str(home)} if home else {})}
    started = time.perf_counter()
    command = [sys.executable, "-m", "alphadia_tl.cli", *map(str, arguments)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        _, error = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{error.decode()[-3000:]}")
    return time.perf_counter() - started


def _costs(layout: Layout) -> tuple[Costs, dict[str, Any]]:
    made = yaml.safe_load(layout.plan.read_text())
    return Costs(threads=made["threads"]), made


def runs(outputs: list[Path]) -> Iterator[Row]:
    """Jobs of finished workflows; the seconds of a receipt are without the start of its process."""
    for output in outputs:
        layout = Layout(output.resolve())
        costs, made = _costs(layout)
        start = costs.start_seconds

        def measured(receipts: list[dict[str, Any]], start: float = start) -> tuple[float, float]:
            seconds = median(r["seconds"] for r in receipts) + start
            return round(seconds, 1), max(r["peak_mb"] for r in receipts)

        for step in made["steps"][:2]:
            found = [read_receipt(layout.run(step, name)) for name in made["runs"] if layout.run(step, name).is_file()]
            found = [r for r in found if "folder" in r and "seconds" in r]
            if not found:
                continue
            raw = median(bytes_of(r["raw file"]) for r in found)
            flat = bytes_of(layout.folder / read_receipt(layout.library(step))["flat"])
            size = f"{len(found)} runs of {raw / MB:.0f} MB, library {flat / MB:.0f} MB"
            yield row("runs", f"search, {step}", size, *measured(found), costs.search(raw, flat))
            done = [read_receipt(layout.combined(step))]
            yield row(
                "runs", f"combine, {step}", f"{done[0]['runs']} runs", *measured(done), costs.combine(done[0]["runs"])
            )
        done = [read_receipt(layout.tuned)]
        n = len(made["tuning_runs"])
        yield row("runs", "tune", f"{n} runs", *measured(done), costs.tune(n))


def library(_: list[Path]) -> Iterator[Row]:
    """Prepare, predict and put together the first library of growing proteomes."""
    weights = Path(tempfile.mkdtemp())
    for n in PROTEINS:
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder)
            experiment = make_experiment(where / "experiment", replace(SMALL, n_proteins=n), weights_folder=weights)
            config = where / "config.yaml"
            config.write_text(yaml.safe_dump({**experiment.config(), "alphadia_tl": {"enabled": True}}))
            layout = Layout(where / "out")
            _job(["workflow", "--config", config, "-o", layout.folder, "--dry-run", "--quiet"], experiment.home)
            costs, made = _costs(layout)
            files = ["--config", layout.config, "-o", layout.folder, "--step", "transfer"]

            prepared = _job(["job", "prepare", *files], experiment.home)
            rows = rows_in([layout.prepared("transfer")])
            peaks = [read_receipt(layout.prepared("transfer"))["peak_mb"]]
            size = f"{made['fasta_bytes']:,} bytes of FASTA"
            yield row("library", "prepare", size, prepared, peaks[-1], costs.prepare(made["fasta_bytes"]))

            predicted = _job(["job", "predict", *files, "--shard", "0", "--shards", "1"], experiment.home)
            peak = read_receipt(layout.predicted("transfer", 0, 1))["peak_mb"]
            yield row("library", "predict", f"{rows:,} precursors", predicted, peak, costs.predict(rows))

            together = _job(["job", "library", *files], experiment.home)
            peak = read_receipt(layout.library("transfer"))["peak_mb"]
            yield row("library", "library", f"{rows:,} precursors", together, peak, costs.library(rows))

            name = next(iter(made["runs"]))
            searched = _job(["job", "search", *files, "--run", name], experiment.home)
            flat = bytes_of(layout.folder / read_receipt(layout.library("transfer"))["flat"])
            raw = bytes_of(made["runs"][name])
            peak = read_receipt(layout.run("transfer", name))["peak_mb"]
            size = f"1 run of {raw / MB:.0f} MB, library {flat / MB:.0f} MB"
            yield row("library", "search", size, searched, peak, costs.search(raw, flat))


def combine(outputs: list[Path]) -> Iterator[Row]:
    """Tables over copies of the runs of a finished workflow."""
    source = Layout(outputs[0].resolve())
    config = yaml.safe_load(source.config.read_text())
    costs, made = _costs(source)
    done = {name: read_receipt(source.run("library", name)) for name in made["runs"]}
    for n in COPIES:
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder)
            layout = Layout(where / "out")
            shutil.copytree(source.jobs, layout.jobs, ignore=shutil.ignore_patterns("*.hdf", "logs", "runs", "parts"))
            (layout.folder / "transfer").symlink_to(source.folder / "transfer")
            (layout.folder / "speclib.hdf").symlink_to(source.folder / "speclib.hdf")
            paths = []
            for i in range(n):
                receipt = list(done.values())[i % len(done)]
                raw = Path(receipt["raw file"])
                paths.append(str(where / f"{raw.stem}_{i}{raw.suffix}"))
                target = layout.folder / "quant" / Path(paths[-1]).stem
                shutil.copytree(source.folder / receipt["folder"], target)
                layout.run("library", Path(paths[-1]).stem).parent.mkdir(parents=True, exist_ok=True)
                layout.run("library", Path(paths[-1]).stem).write_text(
                    yaml.safe_dump({**receipt, "folder": f"quant/{Path(paths[-1]).stem}", "raw file": paths[-1]})
                )
                Path(paths[-1]).symlink_to(raw)
            layout.config.write_text(yaml.safe_dump({**config, "raw_paths": paths}))
            seconds = _job(["job", "combine", "--config", layout.config, "-o", layout.folder, "--step", "library"])
            peak = read_receipt(layout.combined("library"))["peak_mb"]
            yield row("combine", "combine", f"{n} runs (copies of {len(done)})", seconds, peak, costs.combine(n))


def plan(_: list[Path]) -> Iterator[Row]:
    """Snakemake's own cost: a dry run over many (empty) raw files."""
    for n in RAW_FILES:
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder)
            (where / "raw").mkdir()
            for i in range(n):
                (where / "raw" / f"run_{i:05}.mzML").write_bytes(b"")
            (where / "proteome.fasta").write_text(">sp|P1|A\nMPEPTIDEK\n")
            config = where / "config.yaml"
            settings = {
                "directory": str(where / "raw"),
                "fasta_paths": [str(where / "proteome.fasta")],
                "library_prediction": {"enabled": True},
                "alphadia_tl": {"enabled": True, "tuning_runs": 20},
            }
            config.write_text(yaml.safe_dump(settings))
            command = ["workflow", "--config", config, "-o", where / "out", "--dry-run", "--quiet"]
            seconds = _job(command)
            yield row("plan", "plan the workflow", f"{n:,} raw files", seconds, None, None)


def paper(_: list[Path]) -> Iterator[Row]:
    """What the cost model expects of searches that nobody has run here; nothing is measured."""
    for n_runs, precursors in PAPER:
        costs = Costs()
        flat = precursors * FLAT_BYTES_PER_PRECURSOR
        shards = costs.shards({"rows": {"ms2": precursors}, "chunks": math.ceil(precursors / CHUNK_ROWS)})
        size = f"{precursors:,} precursors"
        yield row("paper", f"predict, {shards} jobs in all, each", size, None, None, costs.predict(precursors, shards))
        yield row("paper", "library", size, None, None, costs.library(precursors))
        yield row("paper", "tune", f"{PAPER_TUNING_RUNS} of {n_runs:,} runs", None, None, costs.tune(PAPER_TUNING_RUNS))
        each = f"each of {n_runs:,} runs of {PAPER_RAW_BYTES / MB:,.0f} MB, library {flat / MB:,.0f} MB"
        yield row("paper", "search", each, None, None, costs.search(PAPER_RAW_BYTES, flat))
        yield row("paper", "combine", f"{n_runs:,} runs", None, None, costs.combine(n_runs))
    yield from _whole_searches(100, 5_000_000)


def _whole_searches(n_runs: int, precursors: int) -> Iterator[Row]:
    """What all jobs of a search take together, with a first pass over a part and over all; with a GPU, at best."""
    costs, scouted = Costs(), round(SCOUTED / EXPECTED_RATE)
    size = f"{n_runs:,} runs, {precursors:,} precursors"
    for gpu in (False, True):

        def one_pass(rows: int, runs: int, gpu: bool = gpu) -> list[Cost]:
            flat = rows * FLAT_BYTES_PER_PRECURSOR
            predict = [] if gpu else [costs.predict(rows)]
            search = costs.search(PAPER_RAW_BYTES, flat)
            return [*predict, costs.library(rows), *[search] * runs, costs.combine(runs)]

        tune = [] if gpu else [costs.tune(SCOUTED_RUNS)]
        final = one_pass(precursors, n_runs)
        where = ", prediction and tuning at no cost (no GPU is faster)" if gpu else ""
        for name, jobs in {
            "one pass": final,
            "two passes": [*one_pass(scouted, SCOUTED_RUNS), *tune, *final],
            "two passes, scout: all": [*final, *tune, *final],
        }.items():
            told = Cost(max(job.mb for job in jobs), sum(job.seconds for job in jobs))
            yield row("paper", f"all jobs, {name}{where}", size, None, None, told)
