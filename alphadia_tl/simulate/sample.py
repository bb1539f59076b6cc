"""What is in the sample: the digest of a FASTA file, the peptides' abundances, and their true properties."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from alphabase.protein.fasta import SpecLibFasta, protease_dict
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.host.contract import PEPTIDOFORM
from alphadia_tl.library.fragments import block_bounds
from alphadia_tl.simulate.instrument import Instrument

#: Amino acid composition of UniProtKB/Swiss-Prot in percent (statistics of the release notes).
RESIDUE_FREQUENCIES: dict[str, float] = {
    "A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.72, "G": 7.07, "H": 2.27, "I": 5.91,
    "L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.64, "T": 5.35, "W": 1.10, "Y": 2.92, "V": 6.86,
}  # fmt: skip

#: Protein accessions that start with this letter are in the FASTA but not in the sample (entrapment).
ABSENT_PREFIX = "E"


@dataclass(frozen=True)
class Proteome:
    """Proteins of a FASTA file with UniProt-like accessions and names.

    Entrapment proteins are named ``ENTRAP_00001``; their accessions begin with :data:`ABSENT_PREFIX`.
    """

    accessions: tuple[str, ...]
    names: tuple[str, ...]
    sequences: tuple[str, ...]

    def write_fasta(self, path: Path) -> None:
        """Write all proteins, present and absent, with UniProt-like headers."""
        lines = []
        for accession, name, sequence in zip(self.accessions, self.names, self.sequences, strict=True):
            lines.append(f">sp|{accession}|{name} Simulated protein OS=Simulated OX=0 GN={name} PE=1 SV=1")
            lines.extend(sequence[i : i + 60] for i in range(0, len(sequence), 60))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def random_proteome(n_proteins: int, generator: np.random.Generator, *, absent_fraction: float = 0.25) -> Proteome:
    """Draw proteins residue by residue from the natural frequencies; a fraction of them is absent from the sample."""
    residues = np.array(list(RESIDUE_FREQUENCIES))
    weights = np.array(list(RESIDUE_FREQUENCIES.values()))
    lengths = np.clip(generator.lognormal(np.log(260.0), 0.5, n_proteins), 60, 1500).astype(int)
    text = "".join(generator.choice(residues, size=int(lengths.sum()), p=weights / weights.sum()))
    stops = np.cumsum(lengths)
    sequences = tuple("M" + text[a + 1 : b] for a, b in zip(stops - lengths, stops, strict=True))
    n_absent = round(absent_fraction * n_proteins)
    present = np.arange(n_proteins) < n_proteins - n_absent
    number = np.where(present, np.arange(n_proteins), np.arange(n_proteins) - (n_proteins - n_absent)) + 1
    return Proteome(
        accessions=tuple(f"{'P' if p else ABSENT_PREFIX}{n:05d}" for p, n in zip(present, number, strict=True)),
        names=tuple(f"{'SIM' if p else 'ENTRAP_'}{n:05d}" for p, n in zip(present, number, strict=True)),
        sequences=sequences,
    )


FRAGMENT_TYPES = ["b_z1", "b_z2", "y_z1", "y_z2"]
#: Abundance of a peptide with one missed cleavage, or one oxidised methionine, relative to the one without.
MISSED_CLEAVAGE_FACTOR, OXIDATION_FACTOR = 0.08, 0.08


@dataclass(frozen=True)
class Digestion:
    """Settings of the in-silico digest; the same values go into alphaDIA's ``library_prediction`` section."""

    enzyme: str = "trypsin"
    missed_cleavages: int = 1
    max_var_mod_num: int = 1
    variable_modifications: tuple[str, ...] = ("Oxidation@M",)
    fixed_modifications: tuple[str, ...] = ("Carbamidomethyl@C",)
    precursor_len: tuple[int, int] = (7, 35)
    precursor_charge: tuple[int, int] = (2, 4)
    precursor_mz: tuple[float, float] = (400.0, 1000.0)

    def to_config(self) -> dict[str, object]:
        """Return the matching keys of alphaDIA's ``library_prediction`` section."""
        lists = {k: list(v) if k.startswith("precursor") else v for k, v in asdict(self).items()}
        return {k: ";".join(v) if k.endswith("modifications") else v for k, v in lists.items()}


@dataclass(frozen=True)
class Sample:
    """Precursors that are truly in the sample.

    ``precursor_df``: sequence, mods, mod_sites, charge, nAA, precursor_mz, proteins, rt (fraction of the gradient),
    abundance (arbitrary, log-normal), frag_start_idx, frag_stop_idx. ``fragment_intensity_df``: dense, columns
    :data:`FRAGMENT_TYPES`, max-normalised per precursor.
    """

    precursor_df: pd.DataFrame
    fragment_intensity_df: pd.DataFrame


def digest(fasta: Path, digestion: Digestion) -> pd.DataFrame:
    """Return all precursors of a FASTA file, sorted by nAA, as alphaDIA's own digest gives them."""
    library = SpecLibFasta(
        FRAGMENT_TYPES,
        protease=protease_dict[digestion.enzyme],
        var_mods=list(digestion.variable_modifications),
        fix_mods=list(digestion.fixed_modifications),
        max_missed_cleavages=digestion.missed_cleavages,
        max_var_mod_num=digestion.max_var_mod_num,
        peptide_length_min=digestion.precursor_len[0], peptide_length_max=digestion.precursor_len[1],
        precursor_charge_min=digestion.precursor_charge[0], precursor_charge_max=digestion.precursor_charge[1],
        precursor_mz_min=digestion.precursor_mz[0], precursor_mz_max=digestion.precursor_mz[1],
        decoy=None,
    )  # fmt: skip
    library.get_peptides_from_fasta_list([str(fasta)])
    library.add_modifications()
    accessions = library.protein_df["protein_id"].to_numpy()
    genes = library.protein_df["gene_org"].to_numpy()
    indices = [[int(i) for i in text.split(";")] for text in library.precursor_df["protein_idxes"]]
    library.precursor_df["proteins"] = [";".join(accessions[i]) for i in indices]
    library.precursor_df["genes"] = [";".join(genes[i]) for i in indices]
    library.add_charge()
    library.calc_precursor_mz()
    mz = library.precursor_df["precursor_mz"]
    inside = (mz > digestion.precursor_mz[0]) & (mz < digestion.precursor_mz[1])
    precursor_df: pd.DataFrame = library.precursor_df[inside].sort_values("nAA", kind="stable")
    return precursor_df.reset_index(drop=True)


def set_fragment_pointers(precursor_df: pd.DataFrame) -> None:
    """Set frag_start_idx and frag_stop_idx in place for dense fragments in the table's row order."""
    precursor_df["frag_start_idx"], precursor_df["frag_stop_idx"] = block_bounds(precursor_df["nAA"])


def make_sample(
    library_df: pd.DataFrame,
    instrument: Instrument,
    generator: np.random.Generator,
    *,
    protein_spread: float = 1.6,
    peptide_spread: float = 1.0,
    peptide_fraction: float = 0.8,
) -> Sample:
    """Draw the contents of a sample from a digest.

    The abundance is log-normal in proteins and in peptides, with the given standard deviations of its logarithm; it is
    shared by a peptidoform's charge states. A fraction of the stripped sequences ionises at all.
    """
    df = library_df[~library_df["proteins"].str.startswith(ABSENT_PREFIX)].reset_index(drop=True)
    first_protein = df["proteins"].str.split(";").str[0]
    proteins, protein_code = np.unique(first_protein.to_numpy(dtype=str), return_inverse=True)
    peptides, peptide_code = np.unique(df["sequence"].to_numpy(dtype=str), return_inverse=True)
    log_abundance = generator.normal(0.0, protein_spread, len(proteins))[protein_code]
    log_abundance += generator.normal(0.0, peptide_spread, len(peptides))[peptide_code]
    ionises = (generator.random(len(peptides)) < peptide_fraction)[peptide_code]
    missed = df["miss_cleavage"].to_numpy()
    oxidised = df["mods"].str.count("Oxidation").to_numpy()
    charges = np.arange(1, 7)
    fractions = instrument.charge_probabilities(df, charges)[np.arange(len(df)), df["charge"].to_numpy() - 1]
    df["abundance"] = np.exp(log_abundance) * MISSED_CLEAVAGE_FACTOR**missed * OXIDATION_FACTOR**oxidised * fractions
    df["rt"] = instrument.retention_time(df)
    columns = [*PEPTIDOFORM, "charge", "nAA", "precursor_mz", "proteins", "rt", "abundance"]
    df = df.loc[ionises & (fractions >= 0.05), columns].reset_index(drop=True)
    set_fragment_pointers(df)
    intensities = instrument.fragment_intensities(df, FRAGMENT_TYPES)
    return Sample(df, pd.DataFrame(intensities, columns=FRAGMENT_TYPES))


def oracle_library(library_df: pd.DataFrame, instrument: Instrument, path: Path) -> None:
    """Write the whole digest with the instrument's true properties as an alphabase library (HDF5)."""
    df = library_df.copy()
    df["rt"] = instrument.retention_time(df).astype(np.float32)
    df["mobility"] = np.float32(0.0)
    df["decoy"] = np.uint8(0)
    set_fragment_pointers(df)
    library = SpecLibBase(FRAGMENT_TYPES, decoy=None)
    library._precursor_df = df
    library.hash_precursor_df()
    library.calc_fragment_mz_df()
    library._fragment_intensity_df = pd.DataFrame(
        instrument.fragment_intensities(df, FRAGMENT_TYPES), columns=FRAGMENT_TYPES
    )
    library.save_hdf(str(path))
