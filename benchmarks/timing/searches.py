"""The whole search of the standard demo: one pass, two with the plugin, two with alphaDIA's own transfer step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from timing.measure import Row, row

TWO_PASSES = {"alphadia_tl": {"enabled": True}}
STOCK_TWO_PASSES = {"general": {"transfer_step_enabled": True}}


PAIRS = 2
STAGE = "two-pass search, standard demo"


def search() -> Iterator[Row]:
    """Search the standard demo, with defaults: one pass and two in turn, and alphaDIA's own two passes once."""
    yield _searched(PAIRS, stock=True)


def passes() -> Iterator[Row]:
    """Search it once with one pass and once with two, without alphaDIA's own, which takes longer than all others."""
    yield _searched(1, stock=False)


def _searched(pairs: int, *, stock: bool) -> Row:
    from alphadia_tl.simulate.demo import run_search
    from alphadia_tl.simulate.experiment import DEMO, make_experiment

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = make_experiment(folder / "experiment", DEMO)
        one, two = [], []
        for number in range(pairs):
            one.append(run_search(experiment, folder / f"one_{number}", "one pass", {}))
            two.append(run_search(experiment, folder / f"two_{number}", "two passes", TWO_PASSES))
        theirs = [run_search(experiment, folder / "stock", "alphaDIA's two passes", STOCK_TWO_PASSES)] if stock else []
    times = " and ".join(
        f"{b.seconds / a.seconds:.2f} times one pass ({b.seconds:.0f} for {a.seconds:.0f} s)"
        for a, b in zip(one, two, strict=True)
    )
    found = ", ".join(
        f"{r.title} {r.score.true:,} true precursors ({r.score.fdp:.1%} false)"
        for r in (one[0], two[0], *theirs)
        if r.score is not None
    )
    stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in two[-1].stages.items())
    note = f"{times}; {found}; the last one: {stages}"
    ours = [r.seconds for r in two]
    failed = [r for r in theirs if r.code != 0]
    for r in failed:
        note += f"; alphaDIA's ended with exit code {r.code} after {r.seconds:.0f} s"
    return row(STAGE, 1, ours, [r.seconds for r in theirs if not failed] * len(ours), note)
