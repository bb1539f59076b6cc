"""What is read from the tables of an alphaDIA output folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alphadia_tl.host.names import PRECURSORS_STEM


def count_identifications(output_folder: Path) -> dict[str, Any] | None:
    """Count precursors and protein groups in the precursor table of an alphaDIA output folder.

    Returns
    -------
    dict or None
        Keys ``precursors`` (distinct peptidoform and charge) and ``proteins``; None without a table.
    """
    import pandas as pd

    columns = ["precursor.mod_seq_charge_hash", "pg.name", "precursor.decoy"]
    parquet, tsv = (output_folder / f"{PRECURSORS_STEM}.{suffix}" for suffix in ("parquet", "tsv"))
    if parquet.exists():
        df = pd.read_parquet(parquet, columns=columns)
    elif tsv.exists():
        df = pd.read_csv(tsv, sep="\t", usecols=columns)
    else:
        return None
    df = df[df["precursor.decoy"] == 0]
    return {"precursors": int(df[columns[0]].nunique()), "proteins": int(df[columns[1]].nunique())}


def retention_times(output_folder: Path) -> Any:
    """Return run and retention time of the precursors in an alphaDIA output folder.

    Returns
    -------
    pandas.DataFrame or None
        Columns ``run`` and ``seconds``; None without a table.
    """
    import pandas as pd

    columns = {"raw.name": "run", "precursor.rt.observed": "seconds"}
    parquet, tsv = (output_folder / f"{PRECURSORS_STEM}.{suffix}" for suffix in ("parquet", "tsv"))
    if parquet.exists():
        return pd.read_parquet(parquet, columns=list(columns)).rename(columns=columns)
    if tsv.exists():
        return pd.read_csv(tsv, sep="\t", usecols=list(columns)).rename(columns=columns)
    return None
