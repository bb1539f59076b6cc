"""How fast a library is written in the formats of other programs, and in how much memory.

    python benchmarks/exchange.py LIBRARY --work FOLDER        # copies of its precursors, a million in all

One table is printed: precursors and fragments a second, peak memory of the process, and the size of the file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py

from alphadia_tl.exchange.export import FORMATS, export_library, library_of


def tile(source: Path, target: Path, n: int) -> None:
    """Write a library of n precursors, copies of those of another, fragments and all."""
    with h5py.File(source) as read, h5py.File(target, "w") as write:
        columns = read["library/precursor_df"]
        size, rows = len(columns["sequence"]), len(next(iter(read["library/fragment_mz_df"].values())))
        times, rest = divmod(n, size)
        n_rows = times * rows + (int(columns["frag_stop_idx"][rest - 1]) if rest else 0)
        for group in ("precursor_df", "fragment_mz_df", "fragment_intensity_df"):
            length, part = (n, size) if group == "precursor_df" else (n_rows, rows)
            for name, column in read[f"library/{group}"].items():
                out = write.create_dataset(
                    f"library/{group}/{name}", (length,), column.dtype, chunks=True, compression="lzf"
                )
                values = column[:]
                for copy, begin in enumerate(range(0, length, part)):
                    shift = copy * rows if name in ("frag_start_idx", "frag_stop_idx") else 0
                    some = values[: length - begin]
                    out[begin : begin + len(some)] = some + shift if shift else some


def measure(library: Path, output: Path, name: str) -> dict[str, float]:
    """Write a library in this process; return the seconds that it took, its peak memory and what was written."""
    begin, cpu = time.perf_counter(), time.process_time()
    summary = export_library(library, output, name)
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    size = output.stat().st_size / 1e9
    return {"seconds": seconds, "cpu": used, "peak": peak, "size": size} | {
        "precursors": summary.precursors, "fragments": summary.fragments,
    }  # fmt: skip


def main() -> int:
    """Measure each format in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="an alphabase library, or a bundle's folder")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made; files are removed again")
    parser.add_argument("--precursors", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        output = options.work / f"out.{options.one}"
        print(json.dumps(measure(options.library, output, options.one)))
        output.unlink()
        return 0
    options.work.mkdir(parents=True, exist_ok=True)
    tiled = options.work / "tiled.hdf"
    tile(library_of(options.library), tiled, options.precursors)
    print("| format | precursors | fragments | s | CPU s | precursors/s | M fragments/s | peak GB | file GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.formats:
        command = [sys.executable, __file__, str(tiled), "--work", str(options.work), "--one", name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        f = json.loads(said.splitlines()[-1])
        print(
            f"| {name} | {f['precursors']:,} | {f['fragments']:,} | {f['seconds']:.1f} | {f['cpu']:.1f} | "
            f"{f['precursors'] / f['seconds']:,.0f} | {f['fragments'] / f['seconds'] / 1e6:.2f} | {f['peak']:.2f} | "
            f"{f['size']:.2f} |",
            flush=True,
        )
    tiled.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
