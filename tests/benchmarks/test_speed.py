from pathlib import Path

import pytest
import torch
from small_network import Net, forward, loss, made

from alphadia_tl.training.epoch import Learner
from alphadia_tl.training.loop import fit
from alphadia_tl.training.schedule import FitSettings
from alphadia_tl.training.state import Best

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_weights_of_each_epoch_are_watched_and_the_training_is_as_without():
    from timing.tuning import watched

    def train():
        network = Net()
        losses = iter([3.0, 1.0, 2.0])
        settings = FitSettings(max_lr=0.01, batch_size=16, epochs=3)
        generator = torch.Generator().manual_seed(1)
        fit(Learner(network, forward, loss, generator), made(), lambda: (next(losses), {}), settings)
        return network.state_dict()

    torch.manual_seed(0)
    alone = train()
    original = Best.see
    torch.manual_seed(0)
    with watched() as epochs:
        together = train()
    assert Best.see is original
    assert [seconds for seconds, _ in epochs.seen] == sorted(seconds for seconds, _ in epochs.seen)
    assert len(epochs.seen) == 3
    for name, value in alone.items():
        assert torch.equal(value, together[name])
        assert torch.equal(value, epochs.seen[1][1][name])  # the epoch of the lowest loss


def test_a_line_has_the_ratio_and_its_spread_or_says_that_alphadia_was_not_run():
    from timing.measure import row, table

    lines = table([row("a", 1000, [1.0, 2.0, 4.0], [8.0, 8.0, 8.0], "x"), row("b", 5, [1.0])]).splitlines()
    assert lines[2] == "| a | 1,000 | 2.00 | 8.00 | 4.0 (2.0 to 8.0) | x |"
    assert lines[3] == "| b | 5 | 1.00 | not run |  |  |"


def test_floors_have_a_table_of_their_own():
    from timing.measure import row, table

    beside = row("a", 1000, [1.0], [8.0])
    lines = table([{**row("b", 5, [3.0], note="y"), "floor": 2.0, "times": 1.5}, beside]).splitlines()
    assert lines[2].startswith("| a |")
    assert lines[4] == "| stage | rows | ours (s) | floor (s) | ours / floor | |"
    assert lines[6] == "| b | 5 | 3.00 | 2.00 | 1.5 | y |"


def test_rows_of_each_machine_and_version_have_a_table_of_their_own():
    from timing.measure import row, table

    lines = table([row("a", 1, [1.0]) | {"machine": m, "revision": "1f"} for m in ("one", "two", "one")]).splitlines()
    assert [line for line in lines if line.startswith("**")] == ["**one, revision 1f**", "**two, revision 1f**"]
    assert lines.count("| a | 1 | 1.00 | not run |  |  |") == 3


def test_a_new_row_replaces_one_of_its_own_machine_of_any_version():
    from timing.measure import here, key, row

    one = row("a", 1, [1.0]) | here()
    assert key(one) == key(one | {"revision": "of before"})
    assert key(one) != key(one | {"machine": "two"})


def test_operations_of_an_lstm_are_those_of_its_products():
    import numpy as np
    from timing.floors import lstm_flops

    network = torch.nn.Sequential(torch.nn.LSTM(3, 5, num_layers=1, bidirectional=True), torch.nn.Linear(10, 1))
    one_position = 2 * 2 * (4 * 5) * (3 + 5)  # directions, multiply and add, gates, input and state
    assert lstm_flops(network, np.array([7, 8])) == one_position * (9 + 10)
