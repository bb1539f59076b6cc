"""Entrapment in a search: how it is marked, what was found of it, what it says of the error."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.entrapment import levels
from alphadia_tl.entrapment.digest import DigestSettings
from alphadia_tl.entrapment.estimate import Discoveries, FdpEstimate, estimate_fdp, verdict
from alphadia_tl.entrapment.levels import FACTS, LEFT_OUT, TWINS, Entrapment, beside, read_facts
from alphadia_tl.errors import DataError, QuantificationError, SettingsError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.search_output import CONFIG_FILE, read_mapping, read_run_rows, read_tables, run_tables, targets_at
from alphadia_tl.host.search_tables import read_rows
from alphadia_tl.settings import EntrapmentSettings

logger = logging.getLogger(__name__)

ALL_RUNS = "all"


@dataclass(frozen=True)
class Level:
    """What is counted.

    Attributes
    ----------
    name : str
        As in the comparison's table.
    key : str
        Column of `tables.SearchOutput.rows` that tells identifications apart.
    q : str
        Column of their q value.
    quantified : str
        Column that tells quantities apart; the quantity is in ``<quantified>_intensity``. Peptides are counted as
        sequences, but alphaDIA quantifies peptidoforms.
    """

    name: str
    key: str
    q: str
    quantified: str


LEVELS = (
    Level("precursor", "precursor", "q", "precursor"),
    Level("peptide", "sequence", "q", "peptidoform"),
    Level("protein group", "protein group", "pg_q", "protein group"),
)
_NAMES: dict[str, levels.Level] = {"precursor": "precursor", "peptide": "peptide", "protein group": "protein"}


def best_rows(rows: pd.DataFrame, level: Level) -> pd.DataFrame:
    """Return the best row of each identification of a level, best first."""
    return rows.sort_values([level.q, "proba"], kind="stable").drop_duplicates(level.key)


def entrapment_rows(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> NDArray[np.bool_]:
    """Return which rows of a search belong to an entrapment identification of a level.

    A protein group is one if its name has entrapments only, or, as it may be named by genes, if all its precursors are.
    """
    marked = entrapment.marks(rows["proteins"])
    if level.name != "protein group":
        return marked
    of_group = pd.Series(marked, index=rows.index).groupby(rows[level.key]).transform("all").to_numpy(dtype=bool)
    return np.logical_or(entrapment.marks(rows[level.key]), of_group, dtype=bool)


def discoveries(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> Discoveries:
    """Return the identifications of a level as discoveries, best first."""
    table = rows.assign(score=-rows["proba"].astype(float), q=rows[level.q])
    if level.name == "protein group":
        marked = entrapment_rows(rows, level, entrapment)
        named = ~marked | entrapment.marks(rows[level.key])
        table = table.assign(proteins=rows[level.key].where(named, entrapment.prefix + rows[level.key]))
    found = levels.discoveries_at(table, _NAMES[level.name], entrapment)
    order = np.lexsort((-found.score, found.q))
    twins = None if found.twin_key is None else found.twin_key[order]
    return Discoveries(found.is_entrapment[order], found.score[order], found.q[order], found.key[order], twins)


def estimate(found: Discoveries | Sequence[Discoveries], entrapment: Entrapment) -> FdpEstimate:
    """Estimate the errors of a list, or of those of several runs; the bootstrap has seed 0."""
    return estimate_fdp(
        found, r=entrapment.r, design=entrapment.design, k=entrapment.k, generator=np.random.default_rng(0)
    )


def read_twins(path: Path) -> tuple[dict[str, str], int]:
    """Read which target peptide each entrapment peptide was made from.

    Parameters
    ----------
    path : Path
        Table ``*.twins.tsv`` of ``alphadia-tl entrapment``: columns ``twin_peptide`` and ``target_peptide``.

    Returns
    -------
    target_of : dict of str to str
        Target peptide of each twin.
    k : int
        Twins per target, at most.

    Raises
    ------
    QuantificationError
        If it cannot be read or lacks a column.
    """
    table = _read_table(path, ["twin_peptide", "target_peptide"])
    target_of = dict(zip(table["twin_peptide"], table["target_peptide"], strict=True))
    return target_of, max(Counter(target_of.values()).values(), default=1)


def read_left_out(twins: Path | None, fastas: Iterable[Path] = ()) -> frozenset[str]:
    """Read which entrapment peptides must not be counted: equal or nearly so to a target, or in both species.

    Parameters
    ----------
    twins : Path or None
        ``out.twins.tsv`` of ``alphadia-tl entrapment``, which wrote ``out.left_out.tsv`` beside it.
    fastas : iterable of Path
        FASTA files of the search; what was written beside them counts as well.

    Returns
    -------
    frozenset of str
        Empty where there is no such table.

    Raises
    ------
    QuantificationError
        If a table is there and cannot be read.
    """
    files = {levels.beside(fasta, LEFT_OUT) for fasta in fastas}
    if twins is not None:
        files.add(twins.with_name(f"{twins.name.removesuffix('.tsv').removesuffix('.twins')}.{LEFT_OUT}"))
    column = "entrapment_peptide"
    return frozenset(p for file in files if file.is_file() for p in _read_table(file, [column])[column])


def _read_table(path: Path, names: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", usecols=names, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise QuantificationError(
            f"The table {path} cannot be read: {error}.", "Give the one that alphadia-tl entrapment wrote."
        ) from error


def made_fasta(fastas: Iterable[str | Path]) -> Path | None:
    """Return the first FASTA file that ``alphadia-tl entrapment`` wrote, None where there is none."""
    return next((f for f in map(Path, fastas) if beside(f, FACTS).is_file()), None)


def with_files(settings: EntrapmentSettings, fastas: Iterable[str | Path]) -> EntrapmentSettings:
    """Complete settings by what was written beside a FASTA file.

    Parameters
    ----------
    settings : EntrapmentSettings
        What the user wrote goes first. With another prefix than the file's nothing is taken from it.
    fastas : iterable of path
        FASTA files of the search.

    Raises
    ------
    DataError
        If a file that is there cannot be read.
    """
    fasta = made_fasta(fastas)
    if fasta is None:
        return settings
    facts, default = read_facts(fasta), EntrapmentSettings()
    if settings.prefix not in (None, facts["prefix"]):
        return settings
    shuffled = facts["design"] == "shuffled"
    return dataclasses.replace(
        settings,
        prefix=facts["prefix"],
        design=facts["design"],
        ratio=facts["r"] if settings.ratio == default.ratio else settings.ratio,
        twins=str(beside(fasta, TWINS)) if shuffled and settings.twins is None else settings.twins,
    )


def announced(settings: EntrapmentSettings, config: Mapping[str, Any]) -> EntrapmentSettings:
    """Return the settings that count for a search, and log what was taken from a file.

    Parameters
    ----------
    settings : EntrapmentSettings
        What the user wrote.
    config : mapping
        The search's config: ``fasta_paths`` and ``library_prediction`` are read.

    Raises
    ------
    DataError
        If a file that is there cannot be read.
    """
    found = with_files(settings, config.get("fasta_paths") or ())
    if found != settings:
        logger.info(
            f"Entrapment as alphadia-tl entrapment wrote it: accessions {found.prefix}..., {found.design}, "
            f"r {found.ratio:.4f}."
        )
    if note := digest_note(config):
        logger.warning(note)
    return found


def entrapment_of(settings: EntrapmentSettings, fastas: Iterable[str | Path]) -> Entrapment | None:
    """Read the tables that settings name, and those beside FASTA files.

    Returns
    -------
    Entrapment or None
        None without a prefix. Without a table of twins there are no pairs: it has the design "foreign" then.

    Raises
    ------
    QuantificationError
        If a table cannot be read.
    """
    if settings.prefix is None:
        return None
    twins = Path(settings.twins) if settings.twins else None
    target_of, k = read_twins(twins) if twins else ({}, 1)
    return Entrapment(
        settings.prefix,
        target_of,
        left_out=read_left_out(twins, map(Path, fastas)),
        design="shuffled" if target_of and settings.design == "shuffled" else "foreign",
        k=k,
        r=settings.ratio,
    )


def digest_note(config: Mapping[str, Any]) -> str:
    """Tell where a search digests otherwise than its entrapment was made for; empty where it does not.

    Peptides of another digest have no twin, and r is not theirs.
    """
    fasta = made_fasta(config.get("fasta_paths") or ())
    made = read_facts(fasta).get("digest") if fasta else None
    if not made or not (config.get("library_prediction") or {}).get("enabled", True):
        return ""
    try:
        searched = dataclasses.asdict(DigestSettings.from_config(config))
    except (SettingsError, DataError):  # the search itself tells
        return ""
    differ = [f"{name} {made[name]} for {value}" for name, value in searched.items() if made.get(name, value) != value]
    if not differ:
        return ""
    return (
        f"The entrapment of {fasta} was made for another digest ({', '.join(differ)}): estimates are wrong for the "
        "peptides that have no twin. Make it again with the --config of the search."
    )


def count_before_protein_fdr(folder: Path, *, claimed_fdr: float) -> int | None:
    """Count the precursors that a pass finds at the precursor FDR, in any run; None where it has no tables of runs.

    With few proteins one decoy decides at the protein FDR about several of them: the number that is left says less of
    a library than this one.

    Raises
    ------
    QuantificationError
        If a table cannot be read.
    """
    rows = read_run_rows(folder)
    return None if rows is None else len(targets_at(rows, claimed_fdr).drop_duplicates(PRECURSOR))


def count_kept_and_gained(first: Path, second: Path) -> dict[str, int] | None:
    """Count the target precursors, run by run, that two passes have in common and that each has alone.

    Parameters
    ----------
    first, second : Path
        Folders with ``quant/<run>/psm.parquet``.

    Returns
    -------
    dict or None
        ``kept``, ``gained`` and ``lost``, over the runs that both have; None without such a run, as where the second
        pass takes its quantification from the first.

    Raises
    ------
    QuantificationError
        If a table cannot be read.
    """
    tables = [run_tables(folder, own=True) for folder in (first, second)]
    runs = sorted(tables[0].keys() & tables[1].keys())
    if not runs:
        return None
    before, after = (
        _targets(read_tables({run: found[run] for run in runs}, [*PRECURSOR, "decoy"])) for found in tables
    )
    kept = len(before.intersection(after))
    return {"kept": kept, "gained": len(after) - kept, "lost": len(before) - kept}


def _targets(psm: pd.DataFrame) -> pd.MultiIndex:
    # one type whatever pass wrote it: charges are int8 in one and uint8 in the other
    targets = psm.loc[psm["decoy"] == 0, ["run", *PRECURSOR]].astype({"charge": "int64"})
    return pd.MultiIndex.from_frame(targets.drop_duplicates())


def estimate_pass(folder: Path, settings: EntrapmentSettings, *, claimed_fdr: float) -> dict[str, Any]:
    """Estimate the false discovery proportion of the precursors that a pass finds at the precursor FDR.

    The precursors are those before the protein FDR. That takes away entrapment proteins, which have no true precursor
    to hold them, and leaves wrong precursors of true proteins: what is left has fewer entrapments than its error.

    Parameters
    ----------
    folder : Path
        Output folder of the pass.
    settings : EntrapmentSettings
        How entrapment is marked; completed by what was written beside the FASTA. Without a prefix nothing is estimated.
    claimed_fdr : float
        ``fdr.fdr`` of the search.

    Returns
    -------
    dict
        ``fdp`` (paired estimate with twins, else the combined one), ``fdp_lower``, ``fdp_interval``, ``fdp_all_runs``,
        ``entrapment`` (entrapment precursors), ``verdict`` and ``design``; empty without a prefix. With several runs
        ``fdp`` is the mean of each run's list, weighted by its length, for which the FDR is claimed; the list of all
        runs together collects the errors of each.

    Raises
    ------
    QuantificationError, DataError
        If the table of precursors or of twins cannot be read.
    """
    fastas = read_mapping(folder / CONFIG_FILE).get("fasta_paths") or ()
    settings = with_files(settings, fastas)
    entrapment = entrapment_of(settings, fastas)
    if entrapment is None:
        return {}
    rows = read_run_rows(folder)
    if rows is None:
        rows = read_rows(folder)
        logger.info(f"Entrapment is counted after the protein FDR, and low for that: {folder} has no tables of runs.")
    rows = targets_at(rows, claimed_fdr)
    whole = discoveries(rows, LEVELS[0], entrapment)
    lists = [discoveries(of_run, LEVELS[0], entrapment) for _, of_run in rows.groupby("run")]
    union = estimate(whole, entrapment)
    found = union if len(lists) < 2 else estimate(lists, entrapment)
    said = verdict(found, claimed_fdr)
    where = f", in each of {len(lists)} runs" if len(lists) > 1 else ""
    together = f"; {union.upper:.2%} of all runs' precursors together, for which no FDR is claimed" if where else ""
    logger.info(
        f"Entrapment ({settings.design}): {found.n_entrapment:,} of {found.n_entrapment + found.n_target:,} "
        f"precursors before the protein FDR{where}; estimated FDP {found.upper:.2%} ({found.interval_low:.2%} to "
        f"{found.interval_high:.2%}), claimed {claimed_fdr:.2%}: {said}{together}"
    )
    return {
        "fdp": found.upper,
        "fdp_lower": found.lower,
        "fdp_interval": [found.interval_low, found.interval_high],
        "fdp_all_runs": union.upper,
        "entrapment": union.n_entrapment,
        "verdict": said,
        "design": settings.design,
    }
