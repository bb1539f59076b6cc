"""Speed of this package's stages against alphaDIA's, on the same inputs, threads and machine, in one run.

    python benchmarks/speed.py                # all stages, about two hours on two cores
    python benchmarks/speed.py predict        # startup, collect, predict, storage, tune, search, memory, floor, busy,
                                              # or a part of one: passes, tune-rt, tune-ccs, tune-charge, tune-ms2
    python benchmarks/speed.py --table        # run nothing

The tables of all results so far are written to ``results/speed.md``.
What needs the measured weights is skipped where they are absent. Rows of other machines are kept beside the new ones.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pages import write_tables
from timing.busy import busy
from timing.floors import floor
from timing.libraries import collect, predict, startup, storage
from timing.measure import Row, here, key, table
from timing.memory import memory
from timing.searches import passes, search
from timing.tuning import ROWS, tune

STAGES: dict[str, Callable[[], Iterator[Row]]] = {
    "startup": startup,
    "collect": collect,
    "predict": predict,
    "storage": storage,
    "tune": tune,
    "search": search,
    "memory": memory,
    "floor": floor,
    "busy": busy,
}
# Parts of "search" and, up to 1,000 rows, of "tune".
QUICKER: dict[str, Callable[[], Iterator[Row]]] = {
    "passes": passes,
    **{f"tune-{model}": partial(tune, (model,), 1000) for model in ROWS},
}


def main() -> int:
    """Run the stages."""
    known_stages = STAGES | QUICKER
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(known_stages)
    parser.add_argument("stages", nargs="*", default=list(STAGES), help=f"some of {names}")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    known: list[Row] = json.loads(options.results.read_text()) if options.results.is_file() else []
    place = here()
    for stage in [] if options.table else options.stages:
        rows = [row | place for row in known_stages[stage]()]
        print(table(rows), flush=True)
        new = {key(r) for r in rows}
        known = [k for k in known if key(k) not in new] + rows
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(known, indent=1) + "\n")
    write_tables(options.results.with_suffix(".md"), "speed", table(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
