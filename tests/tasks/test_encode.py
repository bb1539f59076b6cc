import numpy as np
import pandas as pd
import pytest
import torch
from peptdeep.model.featurize import get_batch_aa_indices, get_batch_mod_feature

from alphadia_tl.errors import DataError
from alphadia_tl.tasks.encode import encode_peptidoforms

CARBAMIDOMETHYL = "Carbamidomethyl@C"
ROWS = [
    ("ACDEFGHIK", CARBAMIDOMETHYL, "2"),
    ("MAAAAK", "Acetyl@Protein_N-term;Oxidation@M", "0;1"),
    ("ACDEFGHIR", "", ""),
    ("PEPSTYR", "Phospho@S;Phospho@T;Phospho@Y", "4;5;6"),
    ("PEPSTYK", "Amidated@Any_C-term", "-1"),
    ("KAAAAK", "Methyl@K;Acetyl@K", "1;1"),
    ("ACDEFGHIC", f"{CARBAMIDOMETHYL};{CARBAMIDOMETHYL}", "2;9"),
]


def frame(rows):
    return pd.DataFrame(rows, columns=["sequence", "mods", "mod_sites"])


@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1], ROWS[3:4], ROWS * 20])
def test_features_equal_those_of_peptdeep(rows):
    df = frame(rows).assign(nAA=lambda d: d["sequence"].str.len())
    examples = encode_peptidoforms(df)
    for _, group in df.groupby("nAA"):
        batch = examples.batch(torch.from_numpy(group.index.to_numpy()))
        expected = get_batch_aa_indices(group["sequence"].to_numpy().astype("U"))
        np.testing.assert_array_equal(batch["residues"].numpy(), expected)
        np.testing.assert_array_equal(batch["modifications"].numpy(), get_batch_mod_feature(group))


def test_index_of_the_table_does_not_matter():
    df = frame(ROWS)
    first, second = encode_peptidoforms(df), encode_peptidoforms(df.set_axis(range(90, 97)))
    assert torch.equal(first.residues, second.residues)
    assert torch.equal(first.sites.site, second.sites.site)


def test_missing_modifications_are_none():
    df = frame([("PEPTIDEK", None, None), ("PEPTIDEK", float("nan"), float("nan"))])
    assert encode_peptidoforms(df).sites.site.numel() == 0


def test_no_rows_are_no_examples():
    assert len(encode_peptidoforms(frame([]))) == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("PEPTiDE", "", ""), "PEPTiDE"),
        (("PEP-TIDE", "", ""), "capital letter"),
        (("PEPTIDÉ", "", ""), "capital letter"),
        (("K", "", ""), "1 residues"),
        (("A" * 199, "", ""), "199 residues"),
        ((None, "", ""), "not text"),
        (("PEPTIDE", "Nonsense@P", "1"), "Nonsense@P"),
        (("PEPTIDE", "Oxidation@M", "1;2"), "same number"),
        (("PEPTIDE", "Oxidation@M", ""), "same number"),
        (("PEPTIDE", "", "3"), "same number"),
        (("PEPTIDE", "Oxidation@M", "8"), "outside"),
        (("PEPTIDE", "Oxidation@M", "-2"), "outside"),
        (("PEPTIDE", "Oxidation@M", "x"), "whole numbers"),
    ],
)
def test_rows_that_cannot_be_encoded_are_named(row, message):
    with pytest.raises(DataError, match=message):
        encode_peptidoforms(frame([ROWS[0], row]))


@pytest.mark.parametrize("column", ["sequence", "mods", "mod_sites"])
def test_missing_columns_are_named(column):
    with pytest.raises(DataError, match=f"no column '{column}'"):
        encode_peptidoforms(frame(ROWS).drop(columns=column))
