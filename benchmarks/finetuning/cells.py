"""One cell: one tuner on one sample of one domain. Cells run side by side, each on one thread."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from alphadia_tl.step.step_settings import usable_processors
from finetuning.domains import DOMAINS, Domain

FIELDS = ("domain", "tuner", "size", "seed", "noise", "max_lr")


@dataclass(frozen=True, order=True)
class Cell:
    """What is run.

    Attributes
    ----------
    domain : str
        Key of the domain.
    tuner : str
        "ours"; "stock" with the defaults of alphaDIA's config, or "stock_class" with those of its class.
    size : int
        Rows (peptidoforms for the charge model) given to the tuner; 0 for all.
    seed : int
        Seed of sample and tuner.
    noise : float
        Fraction of the rows that are made wrong.
    max_lr : float
        Highest learning rate; 0 for the tuner's default.
    """

    domain: str
    tuner: str
    size: int
    seed: int
    noise: float = 0.0
    max_lr: float = 0.0


@lru_cache(maxsize=2)
def _prepared(key: str) -> tuple[Domain, Any, Any, Any]:
    from finetuning.domains import load
    from finetuning.scoring import Scorer
    from finetuning.tuners import manager, state_of

    domain = next(d for d in DOMAINS if d.key == key)
    split = load(domain)
    ours = manager()
    pretrained = state_of(ours, domain.model)
    scorer = Scorer(domain, split, ours)
    return domain, scorer, pretrained, scorer(pretrained)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run one cell and return its row of the results."""
    import peptdeep.model.building_block  # noqa: F401  sets two threads on import
    import torch

    from finetuning.domains import sample
    from finetuning.scoring import change_interval
    from finetuning.spoil import spoil
    from finetuning.tuners import tune_ours, tune_stock

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    logging.disable(logging.CRITICAL)
    domain, scorer, pretrained, base = _prepared(cell.domain)
    drawn = sample(scorer.split.pool, domain.model, cell.size or None, cell.seed)
    table = spoil(drawn, domain.model, cell.noise, cell.seed)
    if cell.tuner == "ours":
        tuned = tune_ours(domain, table, cell.seed, **({"max_lr": cell.max_lr} if cell.max_lr else {}))
    else:
        tuned = tune_stock(domain, table, cell.seed, of_class=cell.tuner == "stock_class")
    after = scorer(tuned.state or pretrained)
    shipped = scorer(tuned.shipped or pretrained)
    low, high = change_interval(domain.model, base, shipped)
    return asdict(cell) | {
        "n_rows": len(table.df),
        "n_test": int(base.rows.size),
        "pretrained": base.headline,
        "pretrained_tail": base.tail,
        "pretrained_raw": base.raw,
        "tuned": after.headline,
        "tuned_tail": after.tail,
        "tuned_raw": after.raw,
        "shipped": shipped.headline,
        "shipped_tail": shipped.tail,
        "shipped_raw": shipped.raw,
        "gain_low": low,
        "gain_high": high,
        "accepted": tuned.shipped is not None,
        "epochs": tuned.epochs,
        "seconds": round(tuned.seconds, 1),
        "note": tuned.note,
        **tuned.extra,
    }


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read the rows of earlier runs."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def cell_of(row: dict[str, Any]) -> Cell:
    """Return the cell that a row belongs to."""
    return Cell(**{name: row[name] for name in FIELDS})


def cost(cell: Cell) -> float:
    """Estimate seconds on one CPU thread, from rates that were measured on two cores."""
    domain = cell.domain.split("/")[0]
    rows = cell.size or 25_000
    per_row = {("rt", "stock"): 0.03, ("ccs", "stock"): 0.03, ("charge", "stock"): 0.035, ("ms2", "stock"): 0.25}
    ours = {"rt": 0.012, "ccs": 0.012, "charge": 0.02, "ms2": 0.10}
    return 15 + rows * (ours[domain] if cell.tuner == "ours" else per_row[domain, "stock"])


def run_cells(cells: list[Cell], path: Path, minutes: float, workers: int) -> Iterator[dict[str, Any]]:
    """Run cells that have no row yet, in the order given, as far as the time allows; yield each row as it comes."""
    done = {cell_of(row) for row in read_results(path)}
    todo = [c for c in cells if c not in done]
    deadline = time.monotonic() + 60 * minutes if minutes else math.inf
    threads = os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_processors() // workers)))
    os.environ["MKL_NUM_THREADS"] = threads
    path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool, path.open("a") as out:
        running: dict[Any, Cell] = {}
        while todo or running:
            while todo and len(running) < workers:
                fitting = next((c for c in todo if time.monotonic() + cost(c) < deadline), None)
                if fitting is None:
                    todo.clear()
                    break
                todo.remove(fitting)
                running[pool.submit(run_cell, fitting)] = fitting
            if not running:
                return
            finished = next(as_completed(running))
            del running[finished]
            row = finished.result()
            out.write(json.dumps(row) + "\n")
            out.flush()
            yield row
