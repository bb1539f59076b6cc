import pytest
import torch
from small_network import Net, forward, loss, made

from alphadia_tl.training import precision
from alphadia_tl.training.epoch import Learner, infer, make_optimizer, train_epoch
from alphadia_tl.training.loop import fit
from alphadia_tl.training.precision import RowLimit, in_parts
from alphadia_tl.training.schedule import FitSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("GenuineIntel", "fpu avx512_bf16 sse", False),
        ("GenuineIntel", "fpu avx512_bf16 amx_bf16", True),
        ("GenuineIntel", "fpu amx_bf16x", False),
        ("AuthenticAMD", "fpu avx512_bf16 sse", True),
        ("AuthenticAMD", "fpu avx512f avx2", False),
        ("AuthenticAMD", "", False),
    ],
)
def test_vendor_and_flags_tell_whether_bf16_is_faster(tmp_path, vendor, flags, expected):
    info = tmp_path / "cpuinfo"
    processor = f"processor : 0\nvendor_id\t: {vendor}\nbugs\t\t: a:b\nflags\t\t: {flags}\n"
    info.write_text(f"{processor}\n{processor}\n")
    assert precision.hardware_has_bf16(CPU, info) is expected


def test_no_cpuinfo_means_no_bf16(tmp_path):
    assert precision.hardware_has_bf16(CPU, tmp_path / "absent") is False


def linear(scale=1.0):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(64, 8), torch.randn(16, 64) * scale
    return lambda: layer(x)


def cancelling():
    x = torch.tensor([[1000.0, -1000.1]])
    return lambda: torch.nn.functional.linear(x, torch.ones(1, 2))


@pytest.mark.parametrize(
    ("wanted", "hardware", "forward", "expected"),
    [
        ("fp32", True, linear(), None),
        ("auto", True, linear(), torch.bfloat16),
        ("auto", False, linear(), None),
        ("bf16", False, linear(), torch.bfloat16),
        ("auto", True, cancelling(), None),
        ("bf16", True, cancelling(), None),
    ],
)
def test_bf16_is_used_where_asked_for_possible_and_in_agreement(monkeypatch, wanted, hardware, forward, expected):
    monkeypatch.setattr(precision, "hardware_has_bf16", lambda device: hardware)
    assert precision.select_dtype(wanted, CPU, forward) == expected


def test_disagreement_is_logged(caplog):
    precision.select_dtype("bf16", CPU, cancelling())
    assert "computing in fp32" in caplog.text


def short_of_memory(forward, limit):
    """Make a step fail as on a GPU whose memory does not hold more rows than ``limit``."""

    def run(network, batch):
        if len(batch["residues"]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(network, batch)

    return run


@pytest.mark.parametrize(("limit", "largest"), [(100, 37), (37, 37), (36, 19), (5, 5), (1, 1)])
def test_batches_are_halved_until_they_fit_and_no_row_is_lost(limit, largest):
    seen = []

    def run(batches):
        if max(map(len, batches)) > limit:
            raise torch.OutOfMemoryError
        seen.extend(batches)
        return len(batches)

    assert in_parts([torch.arange(37), torch.arange(37, 40)], run, RowLimit()) == len(seen)
    assert torch.cat(seen).tolist() == list(range(40))
    assert max(map(len, seen)) == largest


def test_what_memory_holds_is_found_once(caplog):
    calls, limit = [], RowLimit()

    def run(batches):
        calls.append(max(map(len, batches)))
        if calls[-1] > 10:
            raise torch.OutOfMemoryError

    for _ in range(3):
        in_parts([torch.arange(37)], run, limit)
    assert calls == [37, 19, 10, 10, 10]
    assert len(caplog.records) == 2


def test_a_training_asks_once_how_much_memory_holds(caplog):
    """Not in each step, nor in each epoch."""
    network, examples = Net(), made()
    settings = FitSettings(max_lr=0.01, batch_size=64, epochs=3)
    generator = torch.Generator().manual_seed(1)
    fit(Learner(network, short_of_memory(forward, 5), loss, generator), examples, lambda: (1.0, {}), settings)
    assert sum(r.levelname == "WARNING" for r in caplog.records) == 4  # 30, 15, 8, 4


def test_where_single_rows_are_too_much_it_is_told():
    def run(batches):
        raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError):
        in_parts([torch.arange(4)], run, RowLimit())


def _epoch(limit):
    network, examples = Net(), made()
    optimizer = make_optimizer(network, 0.01, 0.0)
    generator = torch.Generator().manual_seed(1)
    value = train_epoch(
        Learner(network, short_of_memory(forward, limit), loss, generator),
        examples,
        optimizer,
        FitSettings(max_lr=1e-9, batch_size=64),
    )
    return value, network.state_dict()["emb.weight"]


def test_training_with_less_memory_learns_the_same():
    """A step takes the gradient of the mean over its rows, in however many parts."""
    (whole, weights), (parts, same) = _epoch(1000), _epoch(3)
    assert parts == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(weights, same, rtol=1e-4, atol=1e-6)


def test_predictions_with_less_memory_are_the_same():
    network, examples = Net(), made()
    torch.nn.init.normal_(network.emb.weight, generator=torch.Generator().manual_seed(0))
    outputs, value = infer(network, examples, forward, loss=loss)
    again, same = infer(network, examples, short_of_memory(forward, 5), loss=loss)
    torch.testing.assert_close(again, outputs)
    assert same == pytest.approx(value, rel=1e-5)
