import numpy as np
import pandas as pd
import pytest
import torch

from alphadia_tl.models.weights import new_network
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.ms2 import instrument_group
from alphadia_tl.tasks.predict import choose_dtype, why_unusable

TWO = ["PEPTIDEK", "PEPTIDER"]


@pytest.mark.parametrize(
    ("predictions", "sequences", "problem"),
    [
        ([0.1, 0.2], TWO, ""),
        ([0.1, np.nan], TWO, "are not all finite"),
        ([0.1, np.inf], TWO, "are not all finite"),
        ([0.0, 0.0], TWO, "are all zero"),
        ([0.0, 0.0], TWO[:1] * 2, "are all zero"),
        ([0.3, 0.3], TWO, "are the same for all peptides"),
        ([0.3, 0.3], TWO[:1] * 2, ""),
        ([[0.3, 0.1], [0.3, 0.2]], TWO, ""),
        ([], [], ""),
    ],
)
def test_predictions_that_say_nothing_are_told(predictions, sequences, problem):
    assert why_unusable(np.array(predictions, dtype=np.float32), sequences) == problem


@pytest.mark.parametrize(
    ("name", "used", "known"),
    [("Lumos", "Lumos", True), ("lumos", "Lumos", True), ("qe", "QE", True), ("Quantum9000", "Lumos", False)],
)
def test_an_instrument_is_known_however_it_is_written(name, used, known):
    group, warning = instrument_group(name)
    assert group == used
    assert (warning == "") == known


@pytest.mark.parametrize(
    ("name", "training", "precision", "expected"),
    [
        ("charge", False, "auto", torch.bfloat16),
        ("charge", True, "auto", None),
        ("charge", True, "bf16", torch.bfloat16),
        ("rt", False, "bf16", None),
    ],
)
def test_a_network_is_trained_in_bf16_only_where_that_is_faster(monkeypatch, name, training, precision, expected):
    monkeypatch.setattr("alphadia_tl.training.precision.hardware_has_bf16", lambda device: True)
    task, network = get_task(name), new_network(name).model
    examples = task.encode(pd.DataFrame({"sequence": ["PEPTIDEK", "AGHCEWQMK"], "mods": "", "mod_sites": ""}))
    assert choose_dtype(task, network, examples, precision, training=training) == expected
