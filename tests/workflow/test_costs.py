import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.workflow.costs import Costs, bytes_of, rows_in

SIZES = st.integers(0, 10**10)


@pytest.mark.parametrize("name", ["prepare", "predict", "library", "combine", "tune"])
@given(one=SIZES, two=SIZES)
def test_more_input_is_never_cheaper(name, one, two):
    costs = Costs()
    low, high = (getattr(costs, name)(size) for size in sorted((one, two)))
    assert 0 < low.mb <= high.mb
    assert 0 < low.seconds <= high.seconds
    assert costs.mb(low) > low.mb
    assert costs.minutes(low) * 60 > low.seconds


@given(raw=SIZES, flat=SIZES, threads=st.integers(1, 64))
def test_a_search_costs_more_with_a_larger_file_or_library_and_less_time_with_more_threads(raw, flat, threads):
    costs = Costs(threads=threads)
    assert costs.search(raw, flat).mb <= min(costs.search(2 * raw, flat).mb, costs.search(raw, 2 * flat).mb)
    assert costs.search(raw, flat).seconds <= Costs(threads=1).search(raw, flat).seconds


@given(rows=st.integers(0, 10**8), threads=st.integers(1, 64))
def test_shards_have_work_and_take_about_the_time_they_should(rows, threads):
    costs, chunks = Costs(threads=threads), -(-rows // 50_000)
    shards = costs.shards({"rows": {"ms2": rows, "rt": rows // 3}, "chunks": chunks})
    assert shards <= chunks
    assert (shards == 0) == (rows == 0)
    if shards and shards < chunks:
        assert rows / shards / (costs.predict_rate * threads / 2) <= 60 * costs.shard_minutes + 1


def test_the_memory_of_tuning_does_not_grow_with_runs():
    assert Costs().tune(10_000).mb == Costs().tune(1).mb > 0
    assert Costs(threads=8).tune(1).seconds < Costs(threads=2).tune(1).seconds


def test_sizes_are_those_on_the_disk(tmp_path):
    (tmp_path / "run.d" / "inner").mkdir(parents=True)
    (tmp_path / "run.d" / "inner" / "a.bin").write_bytes(bytes(1000))
    (tmp_path / "run.d" / "b").write_bytes(bytes(24))
    assert bytes_of(tmp_path / "run.d") == 1024
    assert bytes_of(tmp_path / "run.d" / "b") == 24
    assert bytes_of(tmp_path / "none") == 0


def test_rows_are_those_of_the_prepared_library(tmp_path):
    receipt = tmp_path / "prepared.yaml"
    with pytest.raises(FileNotFoundError):
        rows_in([tmp_path / "tuned.yaml", receipt])
    receipt.write_text(yaml.safe_dump({"rows": {"rt": 10, "ms2": 30}, "chunks": 1}))
    assert rows_in([tmp_path / "tuned.yaml", receipt]) == 30
    assert rows_in([tmp_path / "tuned.yaml"]) == 0
