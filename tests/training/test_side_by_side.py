import logging
import threading

import pytest
import torch

from alphadia_tl.training.side_by_side import run_side_by_side, stop_if_cancelled


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def meet(barrier):
    barrier.wait(timeout=30)
    return threading.get_ident(), torch.get_num_threads()


def wait_until_cancelled():
    while True:
        stop_if_cancelled()


def fail():
    raise ValueError("no")


def test_both_sides_run_at_the_same_time_with_half_of_the_threads():
    barrier = threading.Barrier(2)
    done = run_side_by_side({"a": lambda: meet(barrier)}, {"b": lambda: meet(barrier)})
    assert done["a"][0] == threading.get_ident() != done["b"][0]
    assert [threads for _, threads in done.values()] == [1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("threads", "here", "beside"), [(1, "ab", "c"), (2, "", "c"), (2, "ab", "")])
def test_one_thread_or_one_side_runs_in_order(threads, here, beside):
    torch.set_num_threads(threads)
    seen = []
    run_side_by_side(*({n: lambda n=n: seen.append((n, threading.get_ident())) for n in s} for s in (here, beside)))
    assert seen == [(n, threading.get_ident()) for n in here + beside]


@pytest.mark.parametrize(("here", "beside"), [(fail, wait_until_cancelled), (wait_until_cancelled, fail)])
def test_what_fails_stops_the_other_side_and_is_raised(here, beside):
    with pytest.raises(ValueError, match="no"):
        run_side_by_side({"a": here}, {"b": beside})
    assert torch.get_num_threads() == 2
    stop_if_cancelled()


def test_lines_of_the_log_begin_with_the_job(caplog):
    caplog.set_level(logging.INFO)
    log = logging.getLogger("test")
    run_side_by_side({"rt": lambda: log.info("%d %%", 1)}, {"ms2": lambda: log.info("two")})
    log.info("after")
    assert sorted(r.getMessage() for r in caplog.records) == ["[ms2] two", "[rt] 1 %", "after"]
