"""Results of the RT model, made of times and errors."""

import numpy as np
import pandas as pd

from alphadia_tl.tasks.base import Headline
from alphadia_tl.tasks.held_out import TuneResult


def made(train, test, after=None, before=None, repeats=1):
    """Return an RT result with one row per retention time (``repeats`` rows of each peptide)."""
    train, test = (np.repeat(np.asarray(rt, dtype=float), repeats) for rt in (train, test))
    error = np.abs(np.random.default_rng(0).normal(0, 0.01, test.size))
    names = {n: [f"{n}{i // repeats}" for i in range(rt.size)] for n, rt in (("train", train), ("test", test))}
    return TuneResult(
        name="rt",
        history=pd.DataFrame(),
        before={},
        after={},
        headline=Headline("median_abs_error_calibrated", higher_is_better=False),
        scores_before=3 * error if before is None else before,
        scores_after=error if after is None else after,
        test_groups=np.array(names["test"], dtype=object),
        measured={"train": pd.Series(train, index=names["train"]), "test": pd.Series(test, index=names["test"])},
    )
