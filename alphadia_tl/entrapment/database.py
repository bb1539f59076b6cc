"""The entrapment in a search's database: how it is marked, and what ``alphadia-tl entrapment`` wrote of it."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alphadia_tl.entrapment.estimate import Array, Design, Discoveries, FdpEstimate, estimate_fdp
from alphadia_tl.errors import DataError, QuantificationError, SettingsError
from alphadia_tl.files import absolute_path, read_yaml
from alphadia_tl.host.fasta import DigestSettings, Protein, read_fasta
from alphadia_tl.settings import EntrapmentSettings

logger = logging.getLogger(__name__)

#: Accessions of entrapment proteins begin with this.
PREFIX = "ENTRAPMENT_"
#: Ends of the names of the files beside an entrapment FASTA.
FACTS, TWINS, LEFT_OUT = "entrapment.yaml", "twins.tsv", "left_out.tsv"
UNKNOWN = "cannot be said"
MAKE_AGAIN = "Make it again with 'alphadia-tl entrapment'."


@dataclass(frozen=True)
class Entrapment:
    """How entrapment is marked, and which peptides belong together.

    Accessions of entrapment proteins begin with ``prefix``. ``target_of`` is the target peptide of each twin peptide,
    empty in the foreign ``design``; peptides ``left_out`` must not be counted. ``k`` are the twins per target: with
    one, an entrapment protein is the twin of the protein without the prefix. ``r`` are the entrapment peptides per
    target peptide of the digest.
    """

    prefix: str = PREFIX
    target_of: dict[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    design: Design = "shuffled"
    k: int = 1
    r: float = 1.0

    def __post_init__(self) -> None:
        if not self.prefix or self.design not in ("shuffled", "foreign") or self.k < 1 or not self.r > 0:
            values = f"prefix {self.prefix!r}, design {self.design!r}, k {self.k}, r {self.r}"
            raise DataError(f"No such entrapment: {values}.")

    @classmethod
    def read(cls, fasta: Path) -> Entrapment:
        """Read what ``alphadia-tl entrapment`` wrote beside a FASTA file; DataError or QuantificationError without."""
        facts = read_facts(fasta)
        target_of = read_twins(beside(fasta, TWINS))[0] if facts["design"] == "shuffled" else {}
        return cls(facts["prefix"], target_of, read_left_out(None, [fasta]), facts["design"], facts["k"], facts["r"])

    def marks(self, proteins: pd.Series) -> Array:
        """Return True for protein groups (accessions joined by ";") in which all accessions have the prefix."""
        groups, names = pd.factorize(proteins)
        accessions = [[p for p in name.split(";") if p] for name in names]
        marked = [bool(group) and all(p.startswith(self.prefix) for p in group) for group in accessions]
        return np.array(marked, dtype=bool)[groups]

    def estimate(self, found: Discoveries | Sequence[Discoveries]) -> FdpEstimate:
        """Estimate the errors of a list, or of those of several runs."""
        return estimate_fdp(found, r=self.r, design=self.design, k=self.k)


def require_unmarked(proteins: Iterable[str], prefix: str) -> None:
    """Raise a DataError if a prefix is unusable, or a target could be taken for an entrapment."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise DataError(f"The prefix {prefix!r} must be letters, digits, '_', '.' or '-'.")
    marked = [accession for accession in proteins if accession.startswith(prefix)]
    if marked:
        advice = "Give the FASTA without entrapment proteins, or another --prefix."
        raise DataError(f"{len(marked)} accessions begin with {prefix!r} already, such as {marked[0]!r}.", advice)


def entrapment_protein(target: Protein, sequence: str, prefix: str, *, copy: int = 1, what: str) -> Protein:
    """Return the entrapment record made from a protein, described in a UniProt-style header."""
    suffix = f"_{copy}" if copy > 1 else ""
    accession, name = f"{prefix}{target.accession}{suffix}", f"{prefix}{target.name}{suffix}"
    # alphabase reads the accession between two bars, or takes the first word whole where there are fewer (lcl|NP_1).
    first = accession if "|" in accession else f"sp|{accession}|{name}"
    # alphabase reads the gene up to the next space: something must follow it.
    header = f"{first} {what} OS=Entrapment OX=0 GN={name} PE=4 SV=1"
    return Protein(accession, name, header, sequence)


def beside(fasta: Path, name: str) -> Path:
    """Return the path of a file that belongs to an entrapment FASTA, such as ``out.twins.tsv`` of ``out.fasta``."""
    return fasta.with_name(f"{fasta.stem}.{name}")


def read_facts(fasta: Path) -> dict[str, Any]:
    """Read prefix, design, k, r and digest of a FASTA that ``alphadia-tl entrapment`` wrote; a DataError without."""
    path = beside(fasta, FACTS)
    facts = read_yaml(path, error=DataError, advice=MAKE_AGAIN)
    try:
        kinds = {"prefix": str, "design": str, "k": int, "r": float}
        return facts | {name: kind(facts[name]) for name, kind in kinds.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.", MAKE_AGAIN) from error


def read_twins(path: Path) -> tuple[dict[str, str], int]:
    """Read which target peptide each entrapment peptide was made from, and the highest number of twins per target."""
    table = _read_table(path, ["twin_peptide", "target_peptide"])
    target_of = dict(zip(table["twin_peptide"], table["target_peptide"], strict=True))
    return target_of, max(Counter(target_of.values()).values(), default=1)


def read_left_out(twins: Path | None, fastas: Iterable[Path] = ()) -> frozenset[str]:
    """Read which entrapment peptides must not be counted: equal or nearly so to a target, or in both species."""
    files = {beside(fasta, LEFT_OUT) for fasta in fastas}
    if twins is not None:
        files.add(twins.with_name(f"{twins.name.removesuffix('.tsv').removesuffix('.twins')}.{LEFT_OUT}"))
    column = "entrapment_peptide"
    return frozenset(p for file in files if file.is_file() for p in _read_table(file, [column])[column])


def _read_table(path: Path, names: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", usecols=names, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        advice = "Give the one that alphadia-tl entrapment wrote."
        raise QuantificationError(f"The table {path} cannot be read: {error}.", advice) from error


def fastas_of(config: Mapping[str, Any]) -> list[Path]:
    """Return the FASTA files of a search."""
    return [absolute_path(path) for path in config.get("fasta_paths") or ()]


def proteins_of(config: Mapping[str, Any]) -> list[Protein]:
    """Return the proteins of a search's FASTA files as far as they can be read; that they cannot is told elsewhere."""
    proteins: list[Protein] = []
    for fasta in fastas_of(config):
        with contextlib.suppress(DataError):
            proteins += read_fasta(fasta)
    return proteins


def _made(fastas: Iterable[Path]) -> list[Path]:
    """Return the FASTA files that ``alphadia-tl entrapment`` wrote."""
    return [fasta for fasta in fastas if beside(fasta, FACTS).is_file()]


def why_unknown(entrapment: Entrapment, rows: pd.DataFrame, config: Mapping[str, Any]) -> str:
    """Return why a search that found no entrapment says nothing of its errors; empty where it could have found some."""
    if entrapment.marks(rows["proteins"]).any():
        return ""
    proteins, begin = proteins_of(config), f"begins with {entrapment.prefix!r}"
    if any(protein.accession.startswith(entrapment.prefix) for protein in proteins):
        return ""
    if proteins:
        return f"no protein of the FASTA {begin}"
    return f"no protein that was found {begin}, and there is no FASTA to look into"


def entrapment_problems(config: Mapping[str, Any], settings: EntrapmentSettings) -> list[str]:
    """Return what is wrong with the entrapment of a search, before it: nothing could be said of its errors after it."""
    fastas, section = fastas_of(config), EntrapmentSettings.section
    try:
        settings = with_files(settings, fastas)
        read_left_out(None, fastas)
    except (DataError, QuantificationError) as error:
        return [str(error)]
    found = []
    if settings.prefix and len(made := _made(fastas)) > 1:
        found.append(
            f"{' and '.join(map(str, made))} have entrapment each: make one FASTA of all, with --fasta for each."
        )
    if settings.prefix is None:
        if settings != EntrapmentSettings():
            found.append(f"Config section '{section}' has no prefix: nothing tells which proteins are entrapment.")
        return found
    proteins = proteins_of(config)
    found += [_prefix_problem(settings.prefix, proteins)] if proteins else []
    found += [twins_problem(Path(settings.twins), settings.prefix, config)] if settings.twins else []
    if settings.twins and settings.design == "foreign":
        found.append(f"Config section '{section}' names twins, and the design 'foreign', which has none.")
    return [problem for problem in found if problem]


def _prefix_problem(prefix: str, proteins: Sequence[Protein]) -> str:
    marked = [protein.accession for protein in proteins if protein.accession.startswith(prefix)]
    if len(marked) == len(proteins):
        return f"All accessions of the FASTA begin with the entrapment prefix {prefix!r}: there is no target."
    if marked:
        joined = [accession for accession in marked if ";" in accession]
        return f"The entrapment accession {joined[0]!r} has a ';', which joins accessions in results." if joined else ""
    tokens = {m[0].upper(): m[0] for p in proteins if (m := re.match(r"[^\W\d_]+[_.:|-]*", p.accession))}
    alike = [tokens[token] for token in difflib.get_close_matches(prefix.upper(), tokens)]
    hint = f" Is it {' or '.join(map(repr, alike))}?" if alike else f" They begin as {proteins[-1].accession!r} does."
    return f"None of {len(proteins)} accessions of the FASTA begins with the entrapment prefix {prefix!r}.{hint}"


def twins_problem(path: Path, prefix: str, config: Mapping[str, Any]) -> str:
    """Return what is wrong with a table of twins, of which some are looked for in the FASTA's entrapment, if any."""
    try:
        twins = list(read_twins(path)[0])
    except QuantificationError as error:
        return str(error)
    if not twins:
        return f"The table {path} has no twins."
    text = "\n".join(protein.sequence for protein in proteins_of(config) if protein.accession.startswith(prefix))
    looked_up = twins[:: max(1, len(twins) // 200)]
    lost = [twin for twin in looked_up if twin not in text]
    if not text or not lost:
        return ""
    where = f"{len(lost)} of {len(looked_up)} twins that were looked up are in no protein {prefix}..."
    return f"The table {path} is that of another FASTA: {where}, such as {lost[0]}."


def require_entrapment(settings: EntrapmentSettings, config: Mapping[str, Any]) -> None:
    """Raise a SettingsError with all `entrapment_problems` of the entrapment of a search, if any."""
    if found := entrapment_problems(config, settings):
        raise SettingsError(" ".join(found), f"See '{EntrapmentSettings.section}'.")


def with_files(settings: EntrapmentSettings, fastas: Iterable[Path]) -> EntrapmentSettings:
    """Complete settings by what was written beside a FASTA file of the search."""
    fasta = next(iter(_made(fastas)), None)
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


def settings_of_search(settings: EntrapmentSettings, config: Mapping[str, Any]) -> EntrapmentSettings:
    """Return the settings that count for a search with this config, and log what was taken from a file."""
    require_entrapment(settings, config)
    found = with_files(settings, fastas_of(config))
    if found != settings:
        logger.info(
            f"Entrapment as alphadia-tl entrapment wrote it: accessions {found.prefix}..., {found.design}, "
            f"r {found.ratio:.4f}."
        )
    if note := digest_note(config):
        logger.warning(note)
    return found


def entrapment_of(settings: EntrapmentSettings, fastas: Iterable[Path]) -> Entrapment | None:
    """Read the tables that settings name, and those beside FASTA files; None without a prefix."""
    if settings.prefix is None:
        return None
    twins = Path(settings.twins) if settings.twins else None
    target_of, k = read_twins(twins) if twins else ({}, 1)
    return Entrapment(
        settings.prefix,
        target_of,
        left_out=read_left_out(twins, fastas),
        design="shuffled" if target_of and settings.design == "shuffled" else "foreign",
        k=k,
        r=settings.ratio,
    )


def digest_note(config: Mapping[str, Any]) -> str:
    """Tell where a search has other peptides than its entrapment was made for; empty where it has not."""
    if not (made := _made(fastas := fastas_of(config))):
        return ""
    others = [str(fasta) for fasta in fastas if fasta not in made]
    differ = [f"proteins of {' and '.join(others)} beside it"] if others else []
    digest = read_facts(made[0]).get("digest") or {}
    if (config.get("library_prediction") or {}).get("enabled", True):
        with contextlib.suppress(SettingsError, DataError):  # the search itself tells
            searched = dataclasses.asdict(DigestSettings.from_config(config))
            differ += [f"{name} {digest[name]} for {v}" for name, v in searched.items() if digest.get(name, v) != v]
    if not differ:
        return ""
    return (
        f"The entrapment of {made[0]} was made for another search ({', '.join(differ)}): estimates are wrong for the "
        "peptides that have no twin. Make it again with the --config and each --fasta of the search."
    )
