"""What the jobs of a workflow cost, against what the cost model expects of them.

    python benchmarks/scaling.py runs OUTPUT ...       # jobs of finished workflows
    python benchmarks/scaling.py library               # libraries of growing FASTA files, and a search with each
    python benchmarks/scaling.py combine OUTPUT        # tables over copies of the runs of a finished workflow
    python benchmarks/scaling.py plan                  # Snakemake's own time and memory for thousands of raw files
    python benchmarks/scaling.py paper                 # what the cost model expects of large searches; runs nothing

All results so far are written to ``results/scaling.md``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pages import write_tables
from scaling_jobs import combine, library, paper, plan, runs
from scaling_jobs.table import Row, table
from timing.measure import machine

PARTS: dict[str, Callable[[list[Path]], Iterator[Row]]] = {
    "runs": runs,
    "library": library,
    "combine": combine,
    "plan": plan,
    "paper": paper,
}


def main() -> int:
    """Measure a part, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("outputs", nargs="*", type=Path, help="output folders of finished workflows")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "scaling.json")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    known: list[Row] = json.loads(options.results.read_text()) if options.results.is_file() else []
    rows = list(PARTS[options.part](options.outputs))
    print(table(rows), flush=True)
    known = [k for k in known if k["part"] != options.part] + rows
    options.results.write_text(json.dumps(known, indent=1) + "\n")
    write_tables(options.results.with_suffix(".md"), "scaling", f"Machine: {machine()}.\n\n{table(known)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
