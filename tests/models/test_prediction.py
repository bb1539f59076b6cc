import numpy as np
import pandas as pd
import pytest
import torch
from tasks.made import make_peptides

from alphadia_tl.errors import PredictionError
from alphadia_tl.models.prediction import PredictedChunks, in_chunks, model_inputs, network_fingerprint

PEPTIDES = make_peptides(50, seed=1)
PREDICTORS = {
    "per row": lambda df: df["rt_norm"].to_numpy(),
    "several per row": lambda df: df[["rt_norm", "ccs"]].to_numpy(),
    "per fragment": lambda df: np.repeat(df["rt_norm"].to_numpy(), df["nAA"] - 1)[:, None],
}


@pytest.mark.parametrize("rows", [1, 7, 49, 50, 51])
@pytest.mark.parametrize("predict", PREDICTORS.values(), ids=PREDICTORS.keys())
def test_chunks_give_what_the_whole_table_gives(predict, rows):
    table = PEPTIDES.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(in_chunks(table, predict, rows=rows), predict(table))


def test_no_rows_are_one_empty_chunk():
    assert in_chunks(PEPTIDES.iloc[:0], PREDICTORS["per row"]).shape == (0,)


@pytest.mark.parametrize("short", [1, 3])
def test_outputs_that_do_not_fit_the_rows_are_an_error(short):
    with pytest.raises((PredictionError, ValueError)):
        in_chunks(PEPTIDES, lambda df: np.zeros((df["nAA"] - 1).sum() - short), rows=20)


@pytest.fixture
def chunks(tmp_path):
    return PredictedChunks(tmp_path / "chunks")


def path_of(chunks, df=PEPTIDES, model="ms2", fingerprint="f"):
    return chunks.path(model, fingerprint, df)


SAME = {
    "another index": PEPTIDES.set_index(PEPTIDES.index + 5),
    "other types": PEPTIDES.astype({"charge": np.int8}),
    "other columns": PEPTIDES.drop(columns=["rt_norm", "ccs"]),
}
OTHER = {
    "order": {"df": PEPTIDES.iloc[::-1]},
    "rows": {"df": PEPTIDES.iloc[1:]},
    "charge": {"df": PEPTIDES.assign(charge=4)},
    "collision energy": {"df": PEPTIDES.assign(nce=30.0)},
    "model": {"model": "ccs"},
    "weights": {"fingerprint": "g"},
}


@pytest.mark.parametrize("df", SAME.values(), ids=SAME.keys())
def test_the_same_input_finds_the_same_predictions(chunks, df):
    assert path_of(chunks, df) == path_of(chunks)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
def test_another_input_finds_no_predictions(chunks, change):
    assert path_of(chunks, **change) != path_of(chunks)


def test_what_was_written_is_read(chunks):
    values = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    path = path_of(chunks)
    assert chunks.read(path) is None
    chunks.write(path, values)
    np.testing.assert_array_equal(chunks.read(path), values)
    assert (chunks.found, chunks.missing) == (1, 1)


def test_a_damaged_chunk_is_named_and_never_unpickled(chunks):
    path = path_of(chunks)
    path.parent.mkdir(parents=True)
    for content in (b"", b"\x93NUMPY", b"cos\nsystem\n(S'false'\ntR."):
        path.write_bytes(content)
        with pytest.raises(PredictionError, match=path.name):
            chunks.read(path)


def test_the_charge_does_not_matter_to_models_that_do_not_look_at_it():
    assert list(model_inputs("rt", PEPTIDES).columns) == ["sequence", "mods", "mod_sites"]
    assert "charge" in model_inputs("ccs", PEPTIDES).columns
    pd.testing.assert_index_equal(model_inputs("ms2", PEPTIDES.iloc[5:]).index, pd.RangeIndex(45))


def test_the_fingerprint_follows_weights_and_conditions():
    torch.manual_seed(0)
    one, two = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    first = network_fingerprint(one, {"nce": 30.0})
    assert first == network_fingerprint(one, {"nce": 30.0})
    assert len({first, network_fingerprint(two, {"nce": 30.0}), network_fingerprint(one, {"nce": 31.0})}) == 3
    with torch.no_grad():
        one.bias[0] += 1e-6
    assert network_fingerprint(one, {"nce": 30.0}) != first
