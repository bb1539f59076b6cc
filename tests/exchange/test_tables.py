"""What other readers find in the tables, value by value."""

from __future__ import annotations

import logging

import mzspeclib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from alphabase.spectral_library.reader import LibraryReaderBase
from alphabase.spectral_library.translate_diann import DIANN_PARQUET_SCHEMA
from mzspeclib.validate import validator

from alphadia_tl.exchange.export import export_library

from .conftest import CUSTOM, FRAG_TYPES, ROWS, fragments, make

PROFORMA = [
    "[UNIMOD:1]-AC[UNIMOD:4]DEK/1",
    "KEDC[UNIMOD:4]A/2",
    "LKSMAR/2",
    "LKSM[UNIMOD:35]AR/2",
    "LKSM[UNIMOD:35]AR/3",
    "GAVLS[UNIMOD:21]PEK/2",
    "GAVLS[UNIMOD:21]PEK-[UNIMOD:2]/2",
]
UNIMOD = [text[:-2].replace("-", "").replace("[UNIMOD", "(UniMod").replace("]", ")") for text in PROFORMA]
# Names of the columns that are compared in each table, by what is in them.
COLUMNS = {
    "tsv": {
        "sequence": "PeptideSequence", "modified": "ModifiedPeptideSequence", "charge": "PrecursorCharge",
        "mz": "PrecursorMz", "time": "NormalizedRetentionTime", "mobility": "PrecursorIonMobility", "decoy": "Decoy",
        "proteins": "ProteinId", "genes": "GeneName", "product": "ProductMz", "intensity": "LibraryIntensity",
        "series": "FragmentType", "number": "FragmentSeriesNumber", "loss": "FragmentLossType",
        "product charge": "FragmentCharge",
    },
    "diann": {
        "sequence": "Stripped.Sequence", "modified": "Modified.Sequence", "charge": "Precursor.Charge",
        "mz": "Precursor.Mz", "time": "RT", "mobility": "IM", "decoy": "Decoy", "proteins": "Protein.Group",
        "genes": "Genes", "product": "Product.Mz", "intensity": "Relative.Intensity", "series": "Fragment.Type",
        "number": "Fragment.Series.Number", "loss": "Fragment.Loss.Type", "product charge": "Fragment.Charge",
    },
}  # fmt: skip


def read(path):
    if path.suffix == ".tsv":
        table = pd.read_csv(path, sep="\t", keep_default_na=False, na_values={"PrecursorIonMobility": [""]})
    else:
        table = pd.read_parquet(path)
    return table.rename(columns={name: what for what, name in COLUMNS[path.stem].items()})


@pytest.mark.parametrize("name", COLUMNS)
def test_each_precursor_and_fragment_stands_in_the_long_tables(tmp_path, library, saved, name):
    path = tmp_path / f"{name}.{'tsv' if name == 'tsv' else 'parquet'}"
    export_library(saved(library), path, name)
    table = read(path)
    assert len(table) == sum(len(fragments(library, i)) for i in range(len(ROWS)))
    for i, row in enumerate(ROWS):
        of_row = table[(table["modified"] == UNIMOD[i]) & (table["charge"] == row[3])]
        df = library._precursor_df.iloc[i]
        for column, value in {"sequence": row[0], "decoy": row[5], "proteins": row[6], "genes": row[7]}.items():
            assert set(of_row[column]) == {value}
        for column, value in {"mz": df.precursor_mz, "time": 100 * df.rt_norm, "mobility": row[4]}.items():
            np.testing.assert_allclose(of_row[column].to_numpy(float), value, rtol=1e-6)
        expected = fragments(library, i)
        top = max(value for _, value in expected.values()) if name == "diann" else 1
        keys = of_row[["series", "number", "loss", "product charge"]].replace("noloss", "").itertuples(index=False)
        found = dict(zip(map(tuple, keys), of_row[["product", "intensity"]].to_numpy(float).tolist(), strict=True))
        assert found.keys() == expected.keys()
        for key, (mz, value) in expected.items():
            np.testing.assert_allclose(found[key], (mz, value / top), rtol=1e-6)


@pytest.mark.parametrize("name", COLUMNS)
def test_alphabase_reads_the_long_tables(tmp_path, saved, name):
    library = make([(*row[:4], 1 + i / 10, *row[5:]) for i, row in enumerate(ROWS[:5]) if not row[5]])
    path = tmp_path / f"{name}.{'tsv' if name == 'tsv' else 'parquet'}"
    export_library(saved(library), path, name)
    reader = LibraryReaderBase(charged_frag_types=FRAG_TYPES)
    reader.import_file(str(path))
    keys = ["sequence", "mods", "mod_sites", "charge"]
    # The numbers of UniMod do not tell the ends of proteins from those of peptides.
    library._precursor_df["mods"] = library._precursor_df["mods"].str.replace("Protein", "Any")
    ours, theirs = (df.sort_values(keys).reset_index(drop=True) for df in (library._precursor_df, reader._precursor_df))
    pd.testing.assert_frame_equal(ours[keys], theirs[keys], check_dtype=False)
    np.testing.assert_allclose(theirs["mobility"], ours["mobility"], rtol=1e-6)
    for (_, a), (_, b) in zip(ours.iterrows(), theirs.iterrows(), strict=True):
        here = library._fragment_intensity_df.iloc[a.frag_start_idx : a.frag_stop_idx].to_numpy()
        there = reader._fragment_intensity_df[FRAG_TYPES].iloc[b.frag_start_idx : b.frag_stop_idx].to_numpy()
        np.testing.assert_allclose(there, here / here.max(), rtol=1e-5)


def test_diann_has_the_columns_and_types_that_alphabase_knows(tmp_path, library, saved):
    export_library(saved(library), tmp_path / "diann.parquet", "diann")
    kinds = {"int": "int64", "float": "float", "str": "string"}
    schema = pq.read_schema(tmp_path / "diann.parquet")
    assert [(f.name, str(f.type)) for f in schema] == [(name, kinds[kind]) for name, kind in DIANN_PARQUET_SCHEMA]


def test_diann_knows_base_peaks_termini_and_proteotypic_peptides(tmp_path, library, saved):
    library._precursor_df["is_prot_nterm"] = [True] + [False] * (len(ROWS) - 1)
    export_library(saved(library), tmp_path / "diann.parquet", "diann")
    table = pd.read_parquet(tmp_path / "diann.parquet")
    of_precursor = table.groupby("Precursor.Id", sort=False)
    assert (of_precursor["Relative.Intensity"].max() == 1).all()
    assert ((table["Flags"] == 17) == (table["Relative.Intensity"] == 1)).all()
    assert set(table["Flags"]) == {1, 17}
    first = of_precursor.first()
    assert first["N.Term"].tolist() == [1, 0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(first["Proteotypic"], [1, 1, 0, 0, 0, np.nan, 1])


@pytest.mark.parametrize(
    ("name", "read", "text"),
    [
        (
            "tsv",
            lambda p: pd.read_csv(p, sep="\t")["ModifiedPeptideSequence"][0],
            "(Dimethyl:d12)GAVLTPEK(Dimethyl:d12)",
        ),
        ("diann", lambda p: pd.read_parquet(p)["Modified.Sequence"][0], "(Dimethyl:d12)GAVLTPEK(Dimethyl:d12)"),
        ("mzspeclib", lambda p: p.read_text().split("name=")[2].split()[0], "[+40.103874]-GAVLTPEK[+40.103874]/2"),
    ],
)
def test_a_modification_that_unimod_has_not_has_its_name_or_mass(tmp_path, saved, caplog, name, read, text):
    with caplog.at_level(logging.WARNING):
        export_library(saved(make([CUSTOM])), tmp_path / "out", name)
    assert read(tmp_path / "out") == text
    assert ("Dimethyl:d12@K (+40.103874)" in caplog.text) == (name != "mzspeclib")


def test_a_table_without_mobilities_has_no_column_of_them(tmp_path, library, saved):
    library._precursor_df["mobility"] = 0.0
    export_library(saved(library), tmp_path / "out.tsv", "tsv")
    assert "PrecursorIonMobility" not in pd.read_csv(tmp_path / "out.tsv", sep="\t").columns


def test_mzspeclib_reads_and_validates_its_text_format(tmp_path, library, saved):
    path = tmp_path / "made.mzspeclib.txt"
    export_library(saved(library), path, "mzspeclib")
    read = mzspeclib.SpectrumLibrary(filename=str(path))
    check = validator.get_validator_for("base")
    check.validate_library(read)
    # PSI-MS has renamed the term for the theoretical mass, mzspeclib's reader and mzSpecLib 1.0 have not.
    assert [e.message for e in check.error_log if "theoretical mass" not in e.message] == []
    spectra = list(read)
    assert [s.name for s in spectra] == PROFORMA
    for i, (spectrum, row) in enumerate(zip(spectra, ROWS, strict=True)):
        df, expected = library._precursor_df.iloc[i], fragments(library, i)
        analyte = spectrum.analytes["1"]
        assert analyte.get_attribute("MS:1000888|stripped peptide sequence") == row[0]
        assert abs(analyte.mass - (df.precursor_mz - 1.00727646688) * row[3]) < 1e-3
        assert spectrum.get_attribute("MS:1000896|normalized retention time") == pytest.approx(100 * df.rt_norm)
        kind = "MS:1003192|decoy spectrum" if row[5] else "MS:1003074|predicted spectrum"
        assert spectrum.get_attribute("MS:1003072|spectrum origin type") == kind
        mobility = "MS:1002815|inverse reduced ion mobility"
        assert spectrum.has_attribute(mobility) == (row[4] == row[4])
        found = {}
        for mz, value, (ion,), _ in spectrum.peak_list:
            loss = "".join(str(x) for x in ion.neutral_losses).removeprefix("-")
            found[ion.series, ion.position, loss, ion.charge] = (mz, value)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            assert found[key] == pytest.approx(values, rel=1e-6)
