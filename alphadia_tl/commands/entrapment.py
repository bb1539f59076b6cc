"""``alphadia-tl entrapment``: a FASTA file with sequences that cannot be in the sample."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.commands.common import make_parser, read_config
from alphadia_tl.entrapment.database import FACTS, LEFT_OUT, TWINS, beside
from alphadia_tl.entrapment.digest import (
    PREFIX,
    DigestSettings,
    Protein,
    entrapment_protein,
    read_proteins,
    require_unmarked,
    write_proteins,
)
from alphadia_tl.entrapment.twins import foreign_peptides, make_twins
from alphadia_tl.errors import SettingsError
from alphadia_tl.files import write_stats, write_yaml

DESCRIPTION = (
    "Write the proteins of a FASTA file and entrapment proteins, which are not in the sample, into one FASTA file. "
    "How often a search finds entrapment tells how many of its discoveries are false. Enzyme, missed cleavages and "
    "lengths must be those of the search: give its --config."
)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("entrapment", DESCRIPTION)
    parser.add_argument("--fasta", "-f", type=Path, required=True, help="Target proteins.")
    parser.add_argument("--output", "-o", type=Path, required=True, help="FASTA with targets and entrapment.")
    parser.add_argument("--foreign", type=Path, help="Proteins of a species not in the sample, instead of twins.")
    parser.add_argument("--config", "-c", type=Path, help="alphaDIA config with the digest of the search.")
    parser.add_argument("--enzyme", help="Enzyme as in alphaDIA, or a regular expression (default: trypsin).")
    parser.add_argument("--missed-cleavages", type=int, help="Default: 1.")
    parser.add_argument("--min-length", type=int, help="Shortest peptide (default: 7).")
    parser.add_argument("--max-length", type=int, help="Longest peptide (default: 35).")
    parser.add_argument("--k", type=int, help="Twins per target (default: 1).")
    parser.add_argument("--seed", type=int, help="Seed of the shuffling (default: 1).")
    parser.add_argument("--prefix", default=PREFIX, help=f"Begin of entrapment accessions (default: {PREFIX}).")
    return parser


def _write_facts(options: argparse.Namespace, settings: DigestSettings, **facts: Any) -> None:
    facts |= {"prefix": options.prefix, "seed": options.seed, "fasta": str(options.fasta), "digest": asdict(settings)}
    write_yaml(beside(options.output, FACTS), facts)


def _sequences(proteins: Mapping[str, Protein]) -> dict[str, str]:
    return {accession: protein.sequence for accession, protein in proteins.items()}


def _write_twins(options: argparse.Namespace, proteins: Mapping[str, Protein], settings: DigestSettings) -> list[str]:
    k = 1 if options.k is None else options.k
    options.seed = 1 if options.seed is None else options.seed
    twins = make_twins(_sequences(proteins), settings, k=k, seed=options.seed)
    entrapment = [
        entrapment_protein(
            proteins[accession], sequence, options.prefix, copy=copy, what=f"Shuffled twin of {accession}"
        )
        for (accession, copy), sequence in twins.sequences.items()
    ]
    write_proteins(options.output, [*proteins.values(), *entrapment])
    write_stats(beside(options.output, TWINS), twins.table)
    write_stats(beside(options.output, LEFT_OUT), twins.left_out)
    _write_facts(options, settings, design="shuffled", k=k, r=twins.r)
    n_left_out = len(twins.left_out.drop_duplicates(["target_peptide", "entrapment_peptide"]))
    return [
        f"Design:              shuffled twins, {k} per target",
        f"Proteins:            {len(proteins)} targets, {len(entrapment)} entrapment",
        f"Target peptides:     {twins.n_target_peptides}",
        f"Twins:               {len(twins.table)}  ({beside(options.output, 'twins.tsv')})",
        f"Left out:            {n_left_out}  ({beside(options.output, 'left_out.tsv')})",
        *_reasons(twins.left_out),
        f"r:                   {twins.r:.4f}",
    ]


def _reasons(left_out: pd.DataFrame) -> list[str]:
    return [f"  {count:>8} {reason}" for reason, count in left_out["reason"].value_counts().items()]


def _write_foreign(options: argparse.Namespace, proteins: Mapping[str, Protein], settings: DigestSettings) -> list[str]:
    if options.k is not None or options.seed is not None:
        raise SettingsError("--k and --seed are for shuffled twins; --foreign shuffles nothing.", "Leave them out.")
    foreign = read_proteins(options.foreign)
    peptides = foreign_peptides(_sequences(proteins), _sequences(foreign), settings)
    entrapment = [
        entrapment_protein(protein, protein.sequence, options.prefix, what=f"Foreign protein {protein.accession}")
        for protein in foreign.values()
    ]
    write_proteins(options.output, [*proteins.values(), *entrapment])
    write_stats(beside(options.output, LEFT_OUT), peptides.shared)
    _write_facts(options, settings, design="foreign", k=1, r=peptides.r)
    return [
        "Design:              foreign species",
        f"Proteins:            {len(proteins)} targets, {len(entrapment)} entrapment",
        f"Target peptides:     {peptides.n_target_peptides}",
        f"Entrapment peptides: {peptides.n_entrapment_peptides}",
        f"Left out (shared):   {len(peptides.shared)}  ({beside(options.output, 'left_out.tsv')})",
        f"r:                   {peptides.r:.4f}",
    ]


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command; what was written goes to standard output."""
    options = _parser().parse_args(arguments)
    settings = DigestSettings.from_config(
        read_config(options.config),
        enzyme=options.enzyme,
        missed_cleavages=options.missed_cleavages,
        min_length=options.min_length,
        max_length=options.max_length,
    )
    inputs = {path.resolve() for path in (options.fasta, options.foreign) if path is not None}
    if options.output.resolve() in inputs:
        raise SettingsError(f"{options.output} would overwrite its own input.", "Choose another -o.")
    proteins = read_proteins(options.fasta)
    require_unmarked(proteins, options.prefix, options.fasta)
    write = _write_foreign if options.foreign else _write_twins
    print("\n".join([*write(options, proteins, settings), f"Written:             {options.output}"]))
    return 0
