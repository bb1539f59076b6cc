"""Small output folders of searches, as alphaDIA leaves them."""

import numpy as np
import pandas as pd
import yaml

HASH = np.uint64(2**63)  # beyond what int64 and float64 hold


def precursors(numbers, *, run="run_1", proteins="P{}", seed=0, **changes):
    """Precursors with the given numbers: the same number is the same precursor wherever it is made.

    Scores fall and q values rise with the number. Two precursors, of charge 2 and 3, make a peptide; four a protein.
    """
    numbers = np.asarray(list(numbers))
    draw = np.random.default_rng(seed)
    names = [proteins.format(n // 4) for n in numbers]
    quantity = 1000.0 * (numbers % 100 + 1) * np.exp2(draw.normal(0, 0.1, len(numbers)))
    table = pd.DataFrame(
        {
            "raw.name": run,
            "precursor.mod_seq_charge_hash": numbers.astype("uint64") + HASH,
            "precursor.mod_seq_hash": (numbers // 2).astype("uint64") + HASH,
            "pg.name": names,
            "pg.proteins": names,
            "precursor.sequence": [_sequence(n // 2) for n in numbers],
            "precursor.mods": "",
            "precursor.mod_sites": "",
            "precursor.charge": (numbers % 2 + 2).astype("uint8"),
            "precursor.decoy": np.uint8(0),
            "precursor.qval": numbers * 1e-6,
            "pg.qval": 0.0,
            "precursor.proba": ((numbers + 1) * 1e-4).astype("float32"),
            "precursor.rt.observed": (numbers * 1.5).astype("float32"),
            "precursor.intensity": quantity,
            "peptide.intensity": quantity,
            "pg.intensity": quantity,
        }
    )
    return table.assign(**changes)


def _sequence(number):
    letters = "ACDEFGHILMNPQSTVWY"
    return "".join(letters[(number // 18**i) % 18] for i in range(7)) + "K"


def write_runs(folder, *tables):
    """Write the tables of the runs, which hold what the protein FDR takes away as well."""
    table = pd.concat(tables, ignore_index=True)
    names = {f"precursor.{c}": c for c in ("sequence", "mods", "mod_sites", "charge", "decoy", "qval", "proba")}
    names |= {"raw.name": "run", "pg.proteins": "proteins", "precursor.rt.observed": "rt_observed"}
    for run, part in table.rename(columns=names)[list(names.values())].groupby("run"):
        path = folder / "quant" / run / "psm.parquet"
        path.parent.mkdir(parents=True)
        part.drop(columns="run").to_parquet(path)
    return folder


def write_output(folder, *tables, file_format="parquet", fdr=0.01, mbr=False, log=None, provenance=None, **settings):
    """Write an output folder; with `mbr` the tables are of the step before it and its own is empty."""
    table = pd.concat(tables, ignore_index=True)
    where = folder / "library" if mbr else folder
    where.mkdir(parents=True, exist_ok=True)
    write_table(where, table, file_format)
    if mbr:
        write_table(folder, table[:1], file_format)
    config = {
        "version": "2.3.0",
        "output_directory": str(folder),
        "fasta_paths": [],
        "general": {"mbr_step_enabled": mbr, "random_state": 1},
        "fdr": {"fdr": fdr},
        **settings,
    }
    (where / "frozen_config.yaml").write_text(yaml.safe_dump(config))
    if mbr:
        (folder / "frozen_config.yaml").write_text(yaml.safe_dump(config | {"fasta_paths": []}))
    if log:
        (folder / "log.txt").write_text(log)
    if provenance is not None:
        (folder / "transfer").mkdir(exist_ok=True)
        (folder / "transfer" / "alphadia_tl.yaml").write_text(yaml.safe_dump(provenance))
    return folder


def write_table(folder, table, file_format):
    if file_format == "parquet":
        table.to_parquet(folder / "precursors.parquet")
    else:
        table.to_csv(folder / "precursors.tsv", sep="\t", index=False, float_format="%.6f")
