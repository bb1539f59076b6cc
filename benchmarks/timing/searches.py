"""The whole search of the standard demo: one pass, two with the plugin, two with alphaDIA's own transfer step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from timing.measure import Row, row

TWO_PASSES = {"alphadia_tl": {"enabled": True}}
STOCK_TWO_PASSES = {"general": {"transfer_step_enabled": True}}


def search() -> Iterator[Row]:
    """Search the standard demo once each, all with their defaults."""
    from alphadia_tl.simulate.demo import run_search
    from alphadia_tl.simulate.experiment import DEMO, make_experiment

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = make_experiment(folder / "experiment", DEMO)
        one = run_search(experiment, folder / "one", "one pass", {})
        two = run_search(experiment, folder / "two", "two passes", TWO_PASSES)
        stock = run_search(experiment, folder / "stock", "stock", STOCK_TWO_PASSES)
        stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in two.stages.items())
        note = f"{two.seconds / one.seconds:.1f} times one pass ({one.seconds:.0f} s); {stages}"
        if stock.code != 0:
            note += f"; alphaDIA's ended with exit code {stock.code} after {stock.seconds:.0f} s"
        yield row("two-pass search, standard demo", 1, [two.seconds], [stock.seconds] if stock.code == 0 else [], note)
