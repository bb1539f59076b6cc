"""Fine-tuning on measured data: the pretrained models, alphaDIA's own tuner and this package, side by side.

    python benchmarks/finetune_real.py --quick     # one data set per model, one seed, 1,000 rows
    python benchmarks/finetune_real.py             # what fits into 55 minutes, what says most first
    python benchmarks/finetune_real.py --minutes 0 # everything, however long it takes

Rows that are in the results file are not run again: the benchmark can be stopped and continued, and
``--table`` only writes the tables of what is there, to ``results/finetune_real.md``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from finetuning.cells import Cell, read_results, run_cells
from finetuning.domains import DATA, DOMAINS, available

SIZES = (50, 200, 1000, 5000, 0)
SEEDS = (0, 1, 2)
LEARNING_RATES = (1e-5, 1e-4, 1e-3, 1e-2, 3e-5, 3e-4, 3e-3, 3e-2)
NOISE = 0.05
SWEEP_SIZE = 1000
RESULTS = Path(__file__).parent / "results" / "finetune_real.jsonl"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, one domain per model, 1,000 rows")
    parser.add_argument("--minutes", type=float, default=55, help="time limit, 0 for none (default 55)")
    parser.add_argument("--workers", type=int, default=None, help="cells at once (default: one per core, 1 on a GPU)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file that rows are added to")
    parser.add_argument("--only", default="", help="only cells whose domain contains this text")
    parser.add_argument("--table", action="store_true", help="run nothing, write the tables")
    return parser


def quick_cells() -> list[Cell]:
    """Return one domain per model, 1,000 rows, one seed."""
    first = {d.model: d for d in reversed(DOMAINS)}.values()
    return [Cell(d.key, tuner, 1000, 0) for d in first for tuner in ("ours", "stock")]


def all_cells() -> list[Cell]:
    """Return all cells, those that say most for their cost first."""
    keys = [d.key for d in DOMAINS]
    first = {d.model: d for d in reversed(DOMAINS)}.values()

    def sizes(size: int, seed: int) -> list[Cell]:
        return [Cell(key, tuner, size, seed) for key in keys for tuner in ("ours", "stock")]

    def other_stock(size: int, seed: int) -> list[Cell]:
        return [Cell(key, "stock_class", size, seed) for key in keys]

    def noise(size: int, seed: int) -> list[Cell]:
        return [Cell(key, "ours", size, seed, NOISE) for key in keys]

    def sweep(seed: int) -> list[Cell]:
        return [Cell(d.key, "ours", SWEEP_SIZE, seed, 0.0, lr) for d in first for lr in LEARNING_RATES]

    cells = [*sizes(1000, 0), *sizes(200, 0), *sizes(50, 0), *noise(1000, 0), *sizes(1000, 1)]
    cells += [*sizes(1000, 2), *sizes(200, 1), *sizes(200, 2), *sizes(50, 1), *sizes(50, 2), *sweep(0)]
    cells += other_stock(1000, 0)
    cells += [*sizes(5000, 0), *noise(1000, 1), *noise(1000, 2)]
    cells += [*sweep(1), *sweep(2), *sizes(5000, 1), *sizes(5000, 2)]
    return cells + [c for seed in SEEDS for c in sizes(0, seed)] + [c for seed in SEEDS for c in noise(5000, seed)]


def main() -> int:
    """Run the benchmark."""
    args = _parser().parse_args()
    if not available():
        print(f"Skipped: the measured data is not at {DATA}. Set ALPHADIA_TL_DATA to the folder that holds it.")
        return 0
    cells = quick_cells() if args.quick else all_cells()
    cells = [c for c in cells if args.only in c.domain]
    if not args.table:
        import torch

        workers = args.workers or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
        for row in run_cells(cells, args.results, args.minutes, workers):
            size = row["size"] or "all"
            print(
                f"{row['domain']:<34}{row['tuner']:<6} rows {size!s:>5}  seed {row['seed']}  noise {row['noise']:.2f}  "
                f"lr {row['max_lr'] or 'default'}  pretrained {row['pretrained']:.4f}  tuned {row['tuned']:.4f}  "
                f"shipped {row['shipped']:.4f}  {row['epochs']} epochs  {row['seconds']} s",
                flush=True,
            )
    from finetuning.tables import report

    report(read_results(args.results), cells, args.results.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
