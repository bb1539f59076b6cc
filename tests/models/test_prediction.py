import numpy as np
import pandas as pd
import pytest
import torch
from tasks.made import make_peptides

from alphadia_tl.errors import PredictionError
from alphadia_tl.models.prediction import PredictionParts, asked, in_chunks, network_fingerprint

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
def parts(tmp_path):
    return PredictionParts(tmp_path / "parts")


def path_of(parts, df=PEPTIDES, model="ms2", fingerprint="f"):
    return parts.path(model, fingerprint, df)


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
def test_the_same_question_finds_the_same_answer(parts, df):
    assert path_of(parts, df) == path_of(parts)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
def test_another_question_finds_no_answer(parts, change):
    assert path_of(parts, **change) != path_of(parts)


def test_what_was_put_is_taken(parts):
    values = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    path = path_of(parts)
    assert parts.take(path) is None
    parts.put(path, values)
    np.testing.assert_array_equal(parts.take(path), values)
    assert (parts.taken, parts.missing) == (1, 1)


def test_a_damaged_part_is_named_and_never_unpickled(parts):
    path = path_of(parts)
    path.parent.mkdir(parents=True)
    for content in (b"", b"\x93NUMPY", b"cos\nsystem\n(S'false'\ntR."):
        path.write_bytes(content)
        with pytest.raises(PredictionError, match=path.name):
            parts.take(path)


def test_the_charge_does_not_matter_to_models_that_do_not_look_at_it():
    assert list(asked("rt", PEPTIDES).columns) == ["sequence", "mods", "mod_sites"]
    assert "charge" in asked("ccs", PEPTIDES).columns
    pd.testing.assert_index_equal(asked("ms2", PEPTIDES.iloc[5:]).index, pd.RangeIndex(45))


def test_the_fingerprint_follows_weights_and_conditions():
    torch.manual_seed(0)
    one, two = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    first = network_fingerprint(one, {"nce": 30.0})
    assert first == network_fingerprint(one, {"nce": 30.0})
    assert len({first, network_fingerprint(two, {"nce": 30.0}), network_fingerprint(one, {"nce": 31.0})}) == 3
    with torch.no_grad():
        one.bias[0] += 1e-6
    assert network_fingerprint(one, {"nce": 30.0}) != first
