import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peptdeep.model.building_block import SeqCNN
from peptdeep.model.featurize import get_batch_aa_indices, get_batch_mod_feature
from peptdeep.model.rt import AlphaRTModel
from torch.utils._python_dispatch import TorchDispatchMode

from alphadia_tl.errors import DataError
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.encode import as_one_product, encode_peptidoforms
from alphadia_tl.tasks.tuning import TuneSettings, tune
from tasks.made import make_peptides

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


class Convolutions(TorchDispatchMode):
    """Counts gradients of convolutions."""

    def __init__(self):
        super().__init__()
        self.backward = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.backward += func is torch.ops.aten.convolution_backward.default
        return func(*args, **(kwargs or {}))


def output_and_gradients(module, x):
    x = x.clone().requires_grad_()
    module.zero_grad()
    output = module(x)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return [output.detach(), x.grad, *(p.grad.clone() for p in module.parameters())]


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 9), residues=st.integers(1, 30), channels=st.integers(1, 40), seed=st.integers(0, 99))
def test_output_and_gradients_are_those_of_the_convolutions(rows, residues, channels, seed):
    torch.manual_seed(seed)
    # the two add in another order: in single precision a sum of hundreds of terms can differ by more than 1e-4
    module, x = SeqCNN(channels).double(), torch.randn(rows, residues, channels, dtype=torch.float64)
    wanted = output_and_gradients(module, x)
    with as_one_product(module):
        found = output_and_gradients(module, x)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * max(1.0, float(b.abs().max())))


def gradients_of_convolutions(network):
    with Convolutions() as counted:
        network(torch.randint(1, 26, (2, 9)), torch.zeros(2, 9, 109)).sum().backward()
    return counted.backward


def test_the_network_is_left_as_it_was():
    network = AlphaRTModel(device="cpu").model
    with pytest.raises(RuntimeError, match="on the way"), as_one_product(network):
        raise RuntimeError("on the way")
    assert gradients_of_convolutions(network) == 3


def test_training_computes_no_gradient_of_a_convolution():
    network, settings = AlphaRTModel(device="cpu").model, TrainingSettings(epochs=1)
    with Convolutions() as counted:
        tune(get_task("rt"), network, TaskData(make_peptides(120)), TuneSettings(settings, from_scratch=True))
    assert counted.backward == 0
    assert gradients_of_convolutions(network) == 3
