"""False identifications: some rows get the value of another precursor."""

from __future__ import annotations

import numpy as np

from finetuning.domains import Table


def spoil(table: Table, model: str, fraction: float, seed: int) -> Table:
    """Give ``fraction`` of the rows a wrong retention time, CCS or charge, or a shuffled spectrum."""
    if fraction == 0:
        return table
    rng = np.random.default_rng([7, seed])
    df = table.df.copy()
    rows = rng.permutation(len(df))[: max(1, round(fraction * len(df)))]
    if model in ("rt", "ccs"):
        column = {"rt": "rt_norm", "ccs": "ccs"}[model]
        df.loc[rows, column] = df[column].to_numpy()[rng.integers(0, len(df), rows.size)]
        return Table(df)
    if model == "charge":
        states = np.unique(df["charge"])
        df.loc[rows, "charge"] = [rng.choice(states[states != c]) for c in df.loc[rows, "charge"]]
        return Table(df.drop_duplicates(["sequence", "mods", "mod_sites", "charge"]).reset_index(drop=True))
    values = table.fragments.to_numpy().copy()
    for start, stop in df.loc[rows, ["frag_start_idx", "frag_stop_idx"]].to_numpy():
        values[start:stop] = rng.permuted(values[start:stop].reshape(-1)).reshape(stop - start, -1)
    fragments = table.fragments.copy()
    fragments[:] = values
    return Table(df, fragments * table.mask, table.mask)
