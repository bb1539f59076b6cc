import pytest
import torch

from alphadia_tl.training import precision

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
