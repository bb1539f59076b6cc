"""The report's numbers for programs: ``report.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from alphadia_tl.report.facts import Facts

FORMAT = 1
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TABLES = ("history", "held_out", "spectra")


def to_json(facts: Facts) -> str:
    """Return the facts as JSON.

    Tables of single epochs, rows and fragments are left out: they are files of their own. Held-out rows are summed up:
    per model their number and the quantiles of their scores before and after. Numbers that are not finite become null;
    keys that are no text become text.
    """
    values = {"format": FORMAT, **{k: v for k, v in facts.items() if k not in TABLES}}
    if (held_out := facts.get("held_out")) is not None:
        values["held_out"] = {str(model): _scores(rows) for model, rows in held_out.groupby("model", sort=False)}
    return json.dumps(_plain(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _scores(rows: pd.DataFrame) -> dict[str, Any]:
    quantiles = {
        side: {str(q): float(v) for q, v in rows[f"score_{side}"].quantile(list(QUANTILES)).items()}
        for side in ("before", "after")
        if rows[f"score_{side}"].notna().any()
    }
    return {"rows": len(rows), "score_quantiles": quantiles}


def _plain(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(k): _plain(v) for k, v in item.items()}
    if isinstance(item, list | tuple | set | frozenset):
        return [_plain(v) for v in item]
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    return item if isinstance(item, bool | int | str) or item is None else str(item)
