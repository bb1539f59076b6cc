"""Tuning: to the held-out metric with which alphaDIA's tuner ends, and to each one's own end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from alphadia_tl.step.step_settings import usable_processors
from timing.measure import Row, row

ROWS = {"rt": (300, 1000, 5000), "ms2": (1000,), "ccs": (300, 1000), "charge": (300, 1000)}
SEED = 0


@dataclass
class Epochs:
    """Weights of each epoch, and when they were there."""

    started: float = field(default_factory=time.perf_counter)
    copying: float = 0.0
    seen: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def see(self, network: Any) -> None:
        """Keep a copy; the time that it takes does not count."""
        now = time.perf_counter()
        state = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
        self.seen.append((now - self.started - self.copying, state))
        self.copying += time.perf_counter() - now


@contextlib.contextmanager
def watched() -> Iterator[Epochs]:
    """Look at the weights that are validated after each epoch."""
    from alphadia_tl.training.state import Best

    epochs, original = Epochs(), Best.see

    def see(self: Best, epoch: int, loss: float, network: Any) -> None:
        epochs.see(network)
        original(self, epoch, loss, network)

    Best.see = see  # type: ignore[method-assign]
    try:
        yield epochs
    finally:
        Best.see = original  # type: ignore[method-assign]


def tune(models: Collection[str] = tuple(ROWS), most_rows: int = 5000) -> Iterator[Row]:
    """Tune each model on measured data of each size with both tuners."""
    import torch
    from finetuning.domains import DATA, DOMAINS, load, sample
    from finetuning.scoring import HIGHER_IS_BETTER, Scorer
    from finetuning.tuners import manager, state_of, tune_ours, tune_stock

    if not DATA.is_dir():
        print("tune: skipped, the measured data is not there (ALPHADIA_TL_DATA)")
        return
    torch.set_num_threads(usable_processors())
    for domain in {d.model: d for d in reversed(DOMAINS) if d.model in models}.values():
        split, ours = load(domain), manager()
        pretrained = state_of(ours, domain.model)
        scorer = Scorer(domain, split, ours)
        start = scorer(pretrained).headline
        for size in (n for n in ROWS[domain.model] if n <= most_rows):
            table = sample(split.pool, domain.model, size, SEED)
            theirs = tune_stock(domain, table, SEED)
            goal = scorer(theirs.state or pretrained).headline
            with watched() as epochs:
                tuned = tune_ours(domain, table, SEED)
            better = (lambda a, b: a >= b) if HIGHER_IS_BETTER[domain.model] else (lambda a, b: a <= b)
            measured = ((seconds, scorer(state).headline) for seconds, state in epochs.seen)
            reached = next(((i, seconds) for i, (seconds, m) in enumerate(measured, 1) if better(m, goal)), None)
            told = f"pretrained {start:.4f}, alphaDIA's end {goal:.4f} after {theirs.epochs} epochs"
            stage = f"tuning {domain.key}"
            if reached is not None:
                note = f"{told}; reached in epoch {reached[0]}"
                yield row(f"{stage}, to alphaDIA's end", size, [reached[1]], [theirs.seconds], note)
            note = f"{told}; ours {scorer(tuned.state or pretrained).headline:.4f} after {tuned.epochs}"
            note += "" if reached is not None else "; alphaDIA's end was not reached"
            yield row(f"{stage}, each to its own end", size, [tuned.seconds - epochs.copying],
                      [theirs.seconds], note)  # fmt: skip
