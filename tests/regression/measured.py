"""Experiments rendered from tables of spectra and retention times, with base models that were trained on others.

The rendered instruments of `alphadia_tl.simulate` obey formulas; a real one does not. Here the truth of a peptide is
what a table says of it: a library of measured DIA data, or what Prosit and Chronologer predict, as it is or moved by
the difference between two of the rendered instruments. Fragments below ordinal 3 are missing in the measured library,
so that they are in no run. One to three percent of the methionines are oxidised.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.files import Manifest, hash_of
from alphadia_tl.library.fragments import block_rows
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.simulate.experiment import RECORD, RENDERED, Experiment, Preset
from alphadia_tl.simulate.instrument import LAB, REFERENCE
from alphadia_tl.simulate.render import render_run
from alphadia_tl.simulate.sample import ABSENT_PREFIX, FRAGMENT_TYPES, Proteome, digest, set_fragment_pointers
from alphadia_tl.simulate.weights import model_zip_path
from alphadia_tl.tasks.metrics import spectral_similarity

DATA = Path(os.environ.get("ALPHADIA_TL_DATA", Path(__file__).parents[3] / "shared" / "data"))
KEY = ["sequence", "mods", "mod_sites", "charge"]
NCE, INSTRUMENT = 30.0, "Lumos"
PEPTIDES_PER_PROTEIN = 12
ABSENT_FRACTION = 0.25
PROTEIN_SPREAD, PEPTIDE_SPREAD, CHARGE_SPREAD = 1.6, 1.0, 0.5
OXIDISED = (0.01, 0.03)
#: An oxidised form elutes so much of the gradient earlier; standard deviation over peptides.
SULFOXIDE_EARLIER, SULFOXIDE_SPREAD = 0.05, 0.01


@dataclass(frozen=True)
class Measured:
    """What an experiment is rendered from.

    Attributes
    ----------
    name : str
        Data set: `ms2/<name>` and `rt/<name>` of the measured data, or `teacher/<name>` of other predictors.
    n_peptides : int
        Stripped sequences in the FASTA file, a quarter of them absent from the sample.
    modified : str
        Only peptides that were measured with this modification, too, and those without any; empty: no such choice.
    shift : float
        Strength of the move from the instrument `REFERENCE` to `LAB` that spectra and times are put through.
    taught : bool
        With the base models of `regression.base`; otherwise with those of measured data.
    """

    name: str
    n_peptides: int
    modified: str = ""
    shift: float = 0.0
    taught: bool = True


class MeasuredExperiment(Experiment):
    """An experiment whose base models know other collision energies and instruments than the rendered ones."""

    def config(self, *, oracle: bool = False) -> dict[str, Any]:
        """Return an alphaDIA config for the experiment: library-free, or with the perfect library."""
        config = super().config(oracle=oracle)
        config["library_prediction"] |= {"nce": NCE, "instrument": INSTRUMENT}
        return config


def available() -> bool:
    """Tell whether the measured data is there."""
    return (DATA / "models" / "ms2_base.pth").is_file()


def make_measured(folder: Path, preset: Preset, measured: Measured, weights: Path) -> Experiment:
    """Render an experiment, or take over the files that the same settings have made before.

    ``weights`` is the zip of the base models.
    """
    experiment = MeasuredExperiment(folder, preset)
    inputs = {"settings": hash_of(repr((preset, measured))), "code": hash_of(Path(__file__).read_text())}

    def make() -> dict[str, Any]:
        own = model_zip_path(experiment.home)
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(weights, own)
        return render(experiment, measured)

    Manifest(folder, RECORD).once(RENDERED, inputs, [], make)
    return experiment


def render(experiment: Experiment, measured: Measured) -> dict[str, Any]:
    """Write FASTA file, truth, perfect library and runs; return how far the base models are from the truth."""
    preset, generator = experiment.preset, np.random.default_rng(experiment.preset.seed)
    observed, intensities = read_observed(measured.name, preset)
    if measured.shift:
        observed, intensities = moved(observed, intensities, measured.shift)
    proteome(choose(observed, measured, generator), generator).write_fasta(experiment.fasta)
    library_df = digest(experiment.fasta, preset.digestion)
    observed = pd.concat([observed, oxidised(library_df, observed, generator)], ignore_index=True)
    observed = observed.drop_duplicates(KEY, ignore_index=True)
    row = library_df[KEY].merge(observed.reset_index(), on=KEY, how="left")[["index", "rt", "start"]].to_numpy(float)
    known = np.isfinite(row[:, 0])
    set_fragment_pointers(library_df)

    truth = library_df[known & ~library_df["proteins"].str.startswith(ABSENT_PREFIX).to_numpy()]
    truth = truth.assign(rt=row[truth.index, 1], abundance=abundances(truth, generator)).reset_index(drop=True)
    truth["rt_seconds"] = preset.acquisition.apex_seconds(truth["rt"].to_numpy())
    source = observed_rows(truth, observed)
    set_fragment_pointers(truth)
    truth_intensities = pd.DataFrame(intensities[source], columns=FRAGMENT_TYPES)
    truth.to_parquet(experiment.truth)
    for path in experiment.raw_files:
        run_df = truth.assign(abundance=truth["abundance"] * np.exp(0.1 * generator.standard_normal(len(truth))))
        render_run(run_df, truth_intensities, preset.acquisition, generator).save(path)

    base = write_oracle(library_df, known, row[:, 1], observed, intensities, experiment)
    return {"library_precursors": len(library_df), "true_precursors": len(truth), **base}


def read_teacher(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return precursors with ``rt`` and ``start`` as other predictors have them, and all intensities."""
    df = pd.read_parquet(DATA / "teacher" / f"{name}.precursor.parquet").rename(columns={"rt_hi": "rt"})
    fragments = pd.read_parquet(DATA / "teacher" / f"{name}.fragment.parquet")[FRAGMENT_TYPES]
    return df.drop(columns=["nce", "instrument"]), fragments.to_numpy(np.float32)


def moved(observed: pd.DataFrame, intensities: np.ndarray, strength: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Return precursors and intensities that differ as `LAB` differs from `REFERENCE`, by so much of it."""
    lab, reference = (i.fragment_intensities(observed, FRAGMENT_TYPES) for i in (LAB, REFERENCE))
    own = intensities[observed_rows(observed, observed)] * ((lab + 0.01) / (reference + 0.01)) ** strength
    stops = np.cumsum(observed["nAA"].to_numpy() - 1)
    starts = np.concatenate([[0], stops[:-1]])
    highest = np.maximum.reduceat(own.max(axis=1), starts)
    own /= np.repeat(highest, np.diff([0, *stops]))[:, None]
    rt = observed["rt"] + strength * (LAB.retention_time(observed) - REFERENCE.retention_time(observed))
    rt = (rt - rt.min()) / (rt.max() - rt.min())
    return observed.assign(rt=rt, start=starts), own.astype(np.float32)


def without_oxidation(df: pd.DataFrame) -> pd.DataFrame:
    """Return ``mods`` and ``mod_sites`` without oxidised methionines."""
    pairs = [
        [(m, s) for m, s in zip(mods.split(";"), sites.split(";"), strict=True) if m != "Oxidation@M"]
        for mods, sites in zip(df["mods"], df["mod_sites"], strict=True)
    ]
    joined = {c: [";".join(p[i] for p in row) for row in pairs] for i, c in enumerate(("mods", "mod_sites"))}
    return pd.DataFrame(joined, index=df.index)


def oxidised(library_df: pd.DataFrame, observed: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Return the oxidised forms of observed precursors: their spectra, a little earlier."""
    df = library_df.loc[library_df["mods"].str.contains("Oxidation@M"), KEY].reset_index(drop=True)
    plain = df.assign(**without_oxidation(df))
    found = plain.merge(observed, on=KEY, how="left")[["nAA", "rt", "start"]]
    form = df.groupby(KEY[:3], sort=False).ngroup().to_numpy()
    earlier = SULFOXIDE_EARLIER + SULFOXIDE_SPREAD * generator.standard_normal(len(df))[form]
    df = df.assign(nAA=found["nAA"], rt=(found["rt"] - earlier).clip(lower=0), start=found["start"])
    return df.dropna(subset=["start"]).astype({"nAA": observed["nAA"].dtype, "start": observed["start"].dtype})


def read_observed(name: str, preset: Preset) -> tuple[pd.DataFrame, np.ndarray]:
    """Return measured precursors of the search space, with ``rt`` from 0 to 1 and ``start``, and all intensities."""
    digestion = preset.digestion
    if (DATA / "teacher" / f"{name}.precursor.parquet").is_file():
        df, intensities = read_teacher(name)
        df = df.rename(columns={"frag_start_idx": "start"})
    else:
        df = pd.read_parquet(DATA / "ms2" / f"{name}.precursor.parquet").rename(columns={"frag_start_idx": "start"})
        times = pd.read_parquet(DATA / "rt" / f"{name}.parquet")[[*KEY[:3], "rt"]]
        df = df.merge(times.groupby(KEY[:3], as_index=False)["rt"].median(), on=KEY[:3])
        intensities = pd.read_parquet(DATA / "ms2" / f"{name}.fragment.parquet")[FRAGMENT_TYPES].to_numpy(np.float32)
    low, high = df["rt"].quantile([0.002, 0.998])
    df["rt"] = (df["rt"] - low) / (high - low)
    variable = df["mods"].str.split(";").map(lambda mods: sum(m in digestion.variable_modifications for m in mods))
    fixed = df["mods"].str.count("Carbamidomethyl@C")
    named = df["mods"].str.split(";").map(lambda mods: sum(bool(m) for m in mods))
    keep = (
        df["rt"].between(0, 1)
        & (variable <= digestion.max_var_mod_num)
        & (named == variable + fixed)
        & (fixed == df["sequence"].str.count("C"))
        & df["sequence"].str.fullmatch("[^KR]*[KR]")
        & df["nAA"].between(*digestion.precursor_len)
        & df["charge"].between(*digestion.precursor_charge)
    )
    chosen = df.loc[keep, [*KEY, "nAA", "rt", "start"]].drop_duplicates(KEY)
    return chosen.reset_index(drop=True), intensities


def choose(observed: pd.DataFrame, measured: Measured, generator: np.random.Generator) -> np.ndarray:
    """Return stripped sequences in random order."""
    has = observed["mods"].str.contains(measured.modified, regex=False) if measured.modified else True
    sequences = observed.loc[has | (observed["mods"] == ""), "sequence"].drop_duplicates().to_numpy(dtype=str)
    if len(sequences) < measured.n_peptides:
        raise ValueError(f"{measured.name} has {len(sequences)} such peptides, not {measured.n_peptides}.")
    return generator.permutation(sequences)[: measured.n_peptides]


def proteome(peptides: np.ndarray, generator: np.random.Generator) -> Proteome:
    """Join peptides to proteins that trypsin cuts into them again."""
    parts = np.array_split(peptides, max(1, len(peptides) // PEPTIDES_PER_PROTEIN))
    present = np.arange(len(parts)) < round((1 - ABSENT_FRACTION) * len(parts))
    number = np.arange(len(parts)) + 1
    return Proteome(
        accessions=tuple(f"{'P' if p else ABSENT_PREFIX}{n:05d}" for p, n in zip(present, number, strict=True)),
        names=tuple(f"{'MEAS' if p else 'ENTRAP_'}{n:05d}" for p, n in zip(present, number, strict=True)),
        sequences=tuple("".join(part) for part in parts),
    )


def abundances(truth: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
    """Draw an abundance for each precursor: of its protein, its peptidoform and its charge state.

    An oxidised form has the abundance of the peptidoform that is not, times the part that is oxidised.
    """
    log = generator.normal(0, CHARGE_SPREAD, len(truth))
    plain = truth[["sequence", "proteins"]].join(without_oxidation(truth))
    for columns, spread in ((["proteins"], PROTEIN_SPREAD), (KEY[:3], PEPTIDE_SPREAD)):
        code = plain.groupby(columns, sort=False).ngroup().to_numpy()
        log += generator.normal(0, spread, code.max() + 1)[code]
    form = truth.groupby(KEY[:3], sort=False).ngroup().to_numpy()
    part = generator.uniform(*OXIDISED, form.max() + 1)[form]
    return np.exp(log) * np.where(truth["mods"].str.contains("Oxidation@M"), part, 1.0)


def observed_rows(df: pd.DataFrame, observed: pd.DataFrame) -> np.ndarray:
    """Return the rows of the table of measured intensities of all precursors, one after the other."""
    start = df[KEY].merge(observed[[*KEY, "start"]], on=KEY, how="left")["start"].to_numpy(np.int64)
    return block_rows(start, start + df["nAA"].to_numpy(np.int64) - 1)


def write_oracle(
    library_df: pd.DataFrame,
    known: np.ndarray,
    rt: np.ndarray,
    observed: pd.DataFrame,
    intensities: np.ndarray,
    experiment: Experiment,
) -> dict[str, float]:
    """Write a library with what was measured; the rest, none of it in a run, is as the base models predict it.

    Returned are the base models' median spectral angle to what was measured and their median RT error.
    """
    manager = FinetuneManager("cpu", models=model_zip_path(experiment.home), nce=NCE, instrument=INSTRUMENT)
    df = library_df.assign(mobility=np.float32(0), decoy=np.uint8(0))
    predicted = manager.predict_rt_array(df)
    slope, intercept = np.polyfit(predicted[known], rt[known], 1)
    df["rt"] = np.where(known, rt, slope * predicted + intercept).astype(np.float32)
    spectra = np.array(manager.predict_ms2_array(df))[:, [manager.charged_frag_types.index(t) for t in FRAGMENT_TYPES]]
    own = block_rows(df["frag_start_idx"].to_numpy(np.int64)[known], df["frag_stop_idx"].to_numpy(np.int64)[known])
    true_spectra = intensities[observed_rows(df[known], observed)]
    counts = df["nAA"].to_numpy(np.int64)[known] - 1
    angles = spectral_similarity(spectra[own], true_spectra, np.ones(true_spectra.shape, dtype=bool), counts)["SA"]
    spectra[own] = true_spectra
    library = SpecLibBase(FRAGMENT_TYPES, decoy=None)
    library._precursor_df = df
    library.hash_precursor_df()
    library.calc_fragment_mz_df()
    library._fragment_intensity_df = pd.DataFrame(spectra.astype(np.float32), columns=FRAGMENT_TYPES)
    library.save_hdf(str(experiment.oracle))
    error = np.abs(slope * predicted[known] + intercept - rt[known])
    return {"base_spectral_angle": float(np.nanmedian(angles)), "base_rt_error": float(np.median(error))}
