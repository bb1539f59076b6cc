"""What two passes found, what the second kept, gained and lost, and what is known of the error of each."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.entrapment.database import UNKNOWN, Entrapment, entrapment_of, fastas_of, why_unknown, with_files
from alphadia_tl.entrapment.estimate import decoy_estimate, verdict
from alphadia_tl.entrapment.levels import PRECURSORS, as_discoveries, best_rows, discoveries, precursor_keys
from alphadia_tl.errors import QuantificationError
from alphadia_tl.files import write_stats
from alphadia_tl.host import decoy_sequences
from alphadia_tl.host.contract import DIGEST_FILES, MBR_LIBRARY_FILE, PRECURSOR
from alphadia_tl.host.search_output import (
    first_pass_folders,
    read_frozen_config,
    read_provenance,
    read_run_rows,
    run_tables,
    targets_at,
)
from alphadia_tl.host.search_tables import SEPARATOR, read_rows
from alphadia_tl.library.selection import Slice
from alphadia_tl.settings import EntrapmentSettings

logger = logging.getLogger(__name__)

FDRBENCH = "fdrbench"
MAX_FDRBENCH_ROWS = 1_000_000  # it goes through all rows once for each q value
CLASSES = ("kept", "gained", "lost")
AFTER_MBR = "match between runs searches only what passed the protein FDR (alphadia-tl compare judges the pass before)"
NO_DECOYS = "no decoy passes in either search"
NO_ENTRAPMENT = "the config names no entrapment (alphadia_tl.entrapment.prefix)"


def run_rows(folders: Sequence[Path]) -> pd.DataFrame | None:
    """Read the precursors of all runs of searches, as `read_run_rows`; None where there are no tables."""
    tables = [rows for folder in folders if (rows := read_run_rows(folder)) is not None]
    return pd.concat(tables, ignore_index=True) if tables else None


def count_before_protein_fdr(*folders: Path, claimed_fdr: float) -> int | None:
    """Count the precursors that passes find at the precursor FDR, in any run; None where they have no tables."""
    rows = run_rows(folders)
    return None if rows is None else len(targets_at(rows, claimed_fdr).drop_duplicates(PRECURSOR))


def classes(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the precursors that a second search kept and gained, and those of the first that it lost, run by run.

    Columns ``run``, ``decoy`` and those of a precursor; each has one row in a run.
    """
    keys = [pd.MultiIndex.from_arrays([t["run"], t["decoy"], precursor_keys(t)]) for t in (before, after)]
    before, after = (rows[~key.duplicated()] for rows, key in zip((before, after), keys, strict=True))
    one, two = (key.unique() for key in keys)
    kept = two.isin(one)
    return dict(zip(CLASSES, (after[kept], after[~kept], before[~one.isin(two)]), strict=True))


def searched_in_first(first: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Return those of the rows of a later pass, decoys among them, whose precursors the first pass searched, too.

    All but where it searched a part of the library. Raises QuantificationError where that cannot be told any more.
    """
    scout, digest = read_provenance(first).get("scout"), first / DIGEST_FILES[0]
    if not scout:
        return rows
    if not digest.is_file():
        raise QuantificationError(f"{digest} is gone: which part of the library was searched first is not known.")
    library = pd.read_parquet(digest, columns=["sequence"])["sequence"].unique()
    targets = library[Slice(scout["key"], 0.0, scout["stop"]).rows(library)]
    decoys = decoy_sequences(targets, read_frozen_config(first)["fdr"]["decoy_type"])
    among = [rows["sequence"].isin(names) & rows["decoy"].eq(kind) for kind, names in ((0, targets), (1, decoys))]
    return rows[among[0] | among[1]]


def compare_found(
    before: pd.DataFrame, after: pd.DataFrame, entrapment: Sequence[Entrapment | None], unknown: Mapping[str, str]
) -> dict[str, Any]:
    """Count what the second of two searches kept, gained and lost, run by run, and estimate how much of each is wrong.

    The tables have what is found at the precursor FDR, decoys included, in the runs to compare; each search has its
    entrapment. ``unknown`` tells why "decoys" or "entrapment" say nothing.

    Returns the numbers of target precursors ``kept``, ``gained`` and ``lost``, and ``errors`` of each: by ``decoys``
    that were kept, gained or lost themselves (``fdp_decoys``, ``fdp_decoys_interval``, see `decoy_estimate`) and by
    ``entrapment`` (``fdp``, ``fdp_interval``: the combined estimate, as a twin and its target may be of two classes).
    What could not be estimated is missing there; ``unknown`` tells why.
    """
    if not (before["decoy"].any() or after["decoy"].any()):
        unknown = {"decoys": NO_DECOYS, **unknown}
    told: dict[str, Any] = {"errors": {}, "unknown": dict(unknown)}
    for name, rows in classes(before, after).items():
        targets, decoys = (rows[rows["decoy"] == kind] for kind in (0, 1))
        errors: dict[str, Any] = {}
        if len(targets) and "decoys" not in unknown:
            value, *interval = decoy_estimate(*(part["sequence"].to_numpy(object) for part in (targets, decoys)))
            errors |= {"decoys": len(decoys), "fdp_decoys": value, "fdp_decoys_interval": interval}
        known = entrapment[0 if name == "lost" else 1]
        if len(targets) and known is not None and "entrapment" not in unknown:
            errors |= _by_entrapment(targets, known)
        told[name], told["errors"][name] = len(targets), errors
    return told


def _by_entrapment(rows: pd.DataFrame, entrapment: Entrapment) -> dict[str, Any]:
    found = [discoveries(of_run, PRECURSORS, entrapment) for _, of_run in rows.groupby("run")]
    estimate = entrapment.estimate([replace(d, twin_key=None) for d in found])
    if not estimate.n_target + estimate.n_entrapment:
        return {}
    # of a few, mostly wrong ones the formula gives more than all
    value, *interval = (min(1.0, v) for v in (estimate.combined, estimate.interval_low, estimate.interval_high))
    return {"entrapment": estimate.n_entrapment, "fdp": value, "fdp_interval": interval}


def compare_passes(
    first: Path, second: Path, settings: EntrapmentSettings, *, claimed_fdr: float
) -> dict[str, Any] | None:
    """Tell what a pass kept, gained and lost of an earlier one, and how much of it is wrong (`compare_found`).

    Where the earlier one searched a part of the library, that is of its precursors. None where they have no run in
    common, or the second took its runs from elsewhere. Raises QuantificationError or DataError if a table of precursors
    or of twins cannot be read.
    """
    tables = [run_tables(folder, own=True) for folder in (first, second)]
    runs = sorted(tables[0].keys() & tables[1].keys())
    before, after = run_rows(first_pass_folders(first)), read_run_rows(second)
    if not runs or before is None or after is None:
        return None
    before, after = (rows[rows["run"].isin(runs) & rows["q"].le(claimed_fdr)] for rows in (before, after))
    after = searched_in_first(first, after)
    config = read_frozen_config(first)
    entrapment = entrapment_of(with_files(settings, fastas_of(config)), fastas_of(config))
    why = NO_ENTRAPMENT if entrapment is None else why_unknown(entrapment, pd.concat([before, after]), config)
    unknown = {"entrapment": why} if why else {}
    if is_after_mbr(second):
        unknown = dict.fromkeys(("decoys", "entrapment"), AFTER_MBR)
    return compare_found(before, after, (entrapment, entrapment), unknown)


def is_after_mbr(folder: Path) -> bool:
    """Return whether the results in a folder are those of match between runs."""
    return Path(str(read_frozen_config(folder).get("library_path"))).name == MBR_LIBRARY_FILE


def estimate_pass(folder: Path, settings: EntrapmentSettings, *, claimed_fdr: float) -> dict[str, Any]:
    """Estimate the false discovery proportion of the precursors that a pass finds at the precursor FDR.

    The precursors are those before the protein FDR. That takes away entrapment proteins, which have no true precursor
    to hold them, and leaves wrong precursors of true proteins: what is left has fewer entrapments than its error.
    Settings are completed by what was written beside the FASTA. After match between runs nothing can be said: it
    searches what the protein FDR has left.

    Returns ``fdp`` (paired estimate with twins, else the combined one), ``fdp_lower``, ``fdp_interval``,
    ``fdp_all_runs``, ``entrapment`` (entrapment precursors), ``verdict``, ``design`` and ``estimate``; the verdict
    alone, with the reason, where nothing can be said; nothing without a prefix. With several runs ``fdp`` is the mean
    of each run's list, weighted by its length, for which the FDR is claimed; the list of all runs together collects the
    errors of each. Beside the estimate it writes what FDRBench needs to repeat it (`write_fdrbench`). Raises
    QuantificationError or DataError if the table of precursors or of twins cannot be read.
    """
    config = read_frozen_config(folder)
    settings = with_files(settings, fastas_of(config))
    entrapment = entrapment_of(settings, fastas_of(config))
    if entrapment is None:
        return {}
    rows = read_run_rows(folder)
    if rows is None:
        rows = read_rows(folder)
        logger.info(f"Entrapment is counted after the protein FDR, and low for that: {folder} has no tables of runs.")
    why = AFTER_MBR if is_after_mbr(folder) else why_unknown(entrapment, rows, config)
    rows = targets_at(rows, claimed_fdr)
    if rows.empty or why:
        said = f"{UNKNOWN}: {why or f'no precursor at {claimed_fdr:.2%} FDR'}"
        logger.warning(f"Entrapment, {folder}: whether the FDR holds {said}.")
        return {"verdict": said}
    union = entrapment.estimate(discoveries(rows, PRECURSORS, entrapment))
    tables = precursors_by_run(rows, entrapment)
    lists = [as_discoveries(table, PRECURSORS, entrapment) for table in tables.values()]
    found = union if len(lists) < 2 else entrapment.estimate(lists)
    said = verdict(found, claimed_fdr)
    kind = "combined" if found.paired is None else "paired"
    where = f", in each of {len(lists)} runs" if len(lists) > 1 else ""
    together = f"; {union.upper:.2%} of all runs' precursors together, for which no FDR is claimed" if where else ""
    logger.info(
        f"Entrapment ({settings.design}): {found.n_entrapment:,} of {found.n_entrapment + found.n_target:,} "
        f"precursors before the protein FDR{where}; estimated FDP {found.upper:.2%} ({found.interval_low:.2%} to "
        f"{found.interval_high:.2%}, {kind}), claimed {claimed_fdr:.2%}: {said}{together}"
    )
    logger.info(f"To check it: {write_fdrbench(folder / FDRBENCH, tables, entrapment)}")
    return {
        "fdp": found.upper,
        "fdp_lower": found.lower,
        "fdp_interval": [found.interval_low, found.interval_high],
        "fdp_all_runs": union.upper,
        "entrapment": union.n_entrapment,
        "verdict": said,
        "design": settings.design,
        "estimate": kind,
    }


def precursors_by_run(rows: pd.DataFrame, entrapment: Entrapment) -> dict[str, pd.DataFrame]:
    """Return the best row of each precursor of each run, as `best_rows` does."""
    return {str(run): best_rows(of_run, PRECURSORS, entrapment) for run, of_run in rows.groupby("run")}


def write_fdrbench(stem: Path, tables: Mapping[str, pd.DataFrame], entrapment: Entrapment) -> str:
    """Write the precursors of each run for FDRBench, the program of Wen et al. (2025), and return its command line.

    ``<stem>.tsv`` has a row per run and discovery; where twins are known, ``<stem>.pairs.tsv`` has the target of each.
    For FDRBench, rows of one peptide and charge are one discovery, whatever their modifications and run. So
    ``peptide`` has the modifications, and with several runs the run: then its estimate is that of `estimate_pass`. Of
    more than `MAX_FDRBENCH_ROWS` nothing is written, and the reason is returned.
    """
    table = pd.concat([part.assign(run=run) for run, part in tables.items()], ignore_index=True)
    if len(table) > MAX_FDRBENCH_ROWS:
        return f"FDRBench is not made for {len(table):,} rows; no file was written for it."
    run = "@" + table["run"] if len(tables) > 1 else ""
    peptide, of_twin = (table[column].str.rpartition("/")[0] + run for column in ("key", "twin"))
    columns = {
        "run": table["run"],
        "peptide": peptide,
        "mod_peptide": list(map(_with_modifications, table["sequence"], table["mods"], table["mod_sites"])),
        "charge": table["charge"],
        "q_value": table["q"],
        "PEP": "",  # alphaDIA has none
        "protein": table["proteins"],
        "score": -table["score"],
    }
    path, pairs, result = (stem.absolute().with_name(f"{stem.name}{end}") for end in (".tsv", ".pairs.tsv", ".csv"))
    write_stats(path, pd.DataFrame(columns))
    command = ["java", "-jar", "fdrbench.jar", "-level", "precursor", "-score", "score:0", "-i", str(path)]
    if entrapment.design == "shuffled" and entrapment.target_of:
        target = of_twin.mask(table["twin"].eq(""), "target of " + peptide).where(table["entrapment"], peptide)
        write_stats(pairs, _pairs(peptide, target, table))
        command += ["-pep", str(pairs), "-fold", str(entrapment.k)]
    else:
        command += ["-entrapment_label", entrapment.prefix, "-entrapment_pos", "0", "-r", str(entrapment.r)]
    return shlex.join([*command, "-o", str(result)])


def _pairs(peptide: pd.Series, target: pd.Series, table: pd.DataFrame) -> pd.DataFrame:
    """Return FDRBench's table of the entrapment peptides and their targets, found or not; one index for each target."""
    found = pd.DataFrame({"sequence": peptide, "proteins": table["proteins"], "target": target})
    twins = found[table["entrapment"]].assign(peptide_type="p_target")
    alone = twins.assign(sequence=twins["target"], proteins="")
    targets = pd.concat([found[~table["entrapment"]], alone]).assign(peptide_type="target")
    rows = pd.concat([targets, twins]).drop_duplicates("sequence").assign(decoy="No")
    rows["peptide_pair_index"] = pd.factorize(rows["target"])[0]
    return rows[["sequence", "decoy", "proteins", "peptide_type", "peptide_pair_index"]]


def _with_modifications(sequence: str, mods: str, mod_sites: str) -> str:
    """Return a sequence with its modifications in brackets behind their residues, as ProForma has them."""
    parts = ["", *sequence, ""]
    for name, site in sorted(zip(mods.split(SEPARATOR), mod_sites.split(SEPARATOR), strict=True)) if mods else ():
        parts[int(site)] += f"[{name.split('@')[0]}]"
    return (f"{parts[0]}-" if parts[0] else "") + "".join(parts[1:-1]) + (f"-{parts[-1]}" if parts[-1] else "")
