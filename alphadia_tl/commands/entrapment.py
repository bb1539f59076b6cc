"""``alphadia-tl entrapment``: a FASTA file with sequences that cannot be in the sample."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.commands.common import make_parser, read_config
from alphadia_tl.entrapment.database import FACTS, LEFT_OUT, PREFIX, TWINS, beside, entrapment_protein, require_unmarked
from alphadia_tl.entrapment.twins import foreign_peptides, make_twins
from alphadia_tl.errors import DataError, SettingsError
from alphadia_tl.files import write_stats, write_text, write_yaml
from alphadia_tl.host.fasta import DigestSettings, Protein, note_on_letters, read_proteins, require_predictable
from alphadia_tl.search.inputs import check_values

DESCRIPTION = (
    "Write the proteins of a FASTA file and entrapment proteins, which are not in the sample, into one FASTA file. "
    "How often a search finds entrapment tells how many of its discoveries are false. Enzyme, missed cleavages and "
    "lengths must be those of the search: give its --config."
)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("entrapment", DESCRIPTION)
    parser.add_argument("--fasta", "-f", type=Path, action="append", required=True, help="Target proteins; many.")
    parser.add_argument("--output", "-o", type=Path, required=True, help="FASTA with targets and entrapment.")
    instead = "Proteins of a species not in the sample, instead of twins; many."
    parser.add_argument("--foreign", type=Path, action="append", help=instead)
    parser.add_argument("--config", "-c", type=Path, help="alphaDIA config with the digest of the search.")
    parser.add_argument("--enzyme", help="Enzyme as in alphaDIA, or a regular expression (default: trypsin).")
    parser.add_argument("--missed-cleavages", type=int, help="Default: 1.")
    parser.add_argument("--min-length", type=int, help="Shortest peptide (default: 7).")
    parser.add_argument("--max-length", type=int, help="Longest peptide (default: 35).")
    parser.add_argument("--k", type=int, help="Twins per target (default: 1).")
    parser.add_argument("--seed", type=int, help="Seed of the shuffling (default: 1).")
    parser.add_argument("--prefix", default=PREFIX, help=f"Begin of entrapment accessions (default: {PREFIX}).")
    return parser


def _write(
    options: argparse.Namespace,
    settings: DigestSettings,
    proteins: Sequence[Protein],
    tables: Mapping[str, pd.DataFrame],
    **facts: Any,
) -> None:
    accessions = Counter(protein.accession for protein in proteins)
    if twice := [accession for accession, number in accessions.items() if number > 1]:
        raise DataError(f"Two proteins would be {twice[0]!r}.", "Rename one of the targets, or leave --k out.")
    for name, table in tables.items():
        write_stats(beside(options.output, name), table)
    write_text(options.output, "".join(protein.text for protein in proteins))
    facts |= {"prefix": options.prefix, "seed": options.seed, "fasta": list(map(str, options.fasta))}
    write_yaml(beside(options.output, FACTS), facts | {"digest": asdict(settings)})


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
    tables = {TWINS: twins.table, LEFT_OUT: twins.left_out}
    _write(options, settings, [*proteins.values(), *entrapment], tables, design="shuffled", k=k, r=twins.r)
    n_left_out = len(twins.left_out.drop_duplicates(["target_peptide", "entrapment_peptide"]))
    return [
        f"Design:              shuffled twins, {k} per target",
        f"Proteins:            {len(proteins)} targets, {len(entrapment)} entrapment",
        f"Target peptides:     {twins.n_target_peptides}",
        f"Twins:               {len(twins.table)}  ({beside(options.output, TWINS)})",
        f"Left out:            {n_left_out}  ({beside(options.output, LEFT_OUT)})",
        *(f"  {count:>8} {reason}" for reason, count in twins.left_out["reason"].value_counts().items()),
        f"r:                   {twins.r:.4f}",
    ]


def _write_foreign(
    options: argparse.Namespace,
    proteins: Mapping[str, Protein],
    foreign: Mapping[str, Protein],
    settings: DigestSettings,
) -> list[str]:
    peptides = foreign_peptides(_sequences(proteins), _sequences(foreign), settings)
    entrapment = [
        entrapment_protein(protein, protein.sequence, options.prefix, what=f"Foreign protein {protein.accession}")
        for protein in foreign.values()
    ]
    tables = {LEFT_OUT: peptides.shared}
    _write(options, settings, [*proteins.values(), *entrapment], tables, design="foreign", k=1, r=peptides.r)
    return [
        "Design:              foreign species",
        f"Proteins:            {len(proteins)} targets, {len(entrapment)} entrapment",
        f"Target peptides:     {peptides.n_target_peptides}",
        f"Entrapment peptides: {peptides.n_entrapment_peptides}",
        f"Left out (shared):   {len(peptides.shared)}  ({beside(options.output, LEFT_OUT)})",
        f"r:                   {peptides.r:.4f}",
    ]


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command; what was written goes to standard output."""
    options = _parser().parse_args(arguments)
    given = {name: getattr(options, name) for name in ("enzyme", "missed_cleavages", "min_length", "max_length")}
    check_values(config := read_config(options.config))
    settings = DigestSettings.from_config(config, **given)
    if options.foreign and (options.k is not None or options.seed is not None):
        raise SettingsError("--k and --seed are for shuffled twins; --foreign shuffles nothing.", "Leave them out.")
    inputs = [*options.fasta, *(options.foreign or ())]
    if options.output.resolve() in {path.resolve() for path in inputs}:
        raise SettingsError(f"{options.output} would overwrite its own input.", "Choose another -o.")
    proteins, foreign = read_proteins(options.fasta), read_proteins(options.foreign or ())
    require_unmarked(proteins, options.prefix)
    require_predictable(searched := [*proteins.values(), *foreign.values()], settings)
    made = (
        _write_foreign(options, proteins, foreign, settings) if foreign else _write_twins(options, proteins, settings)
    )
    note = note_on_letters(searched)
    print(
        "\n".join([*made, *([f"Warning:             {note}"] * bool(note)), f"Written:             {options.output}"])
    )
    return 0
