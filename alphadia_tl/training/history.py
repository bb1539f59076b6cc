"""The long table of everything measured during a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["HISTORY_COLUMNS", "History"]

HISTORY_COLUMNS = ("epoch", "property", "data_split", "metric_name", "value")


@dataclass
class History:
    """Collects metric values of one model as rows of the long table.

    Parameters
    ----------
    property_name : str
        Name of the model: "rt", "charge", "ms2" or "ccs".
    """

    property_name: str
    rows: list[tuple[int, str, str, str, float]] = field(default_factory=list)

    def add(self, epoch: int, data_split: str, metrics: Mapping[str, float]) -> None:
        """Add one row per metric.

        Parameters
        ----------
        epoch : int
            Epoch number from 0; -1 stands for the model before training.
        data_split : str
            "train", "validation" or "test".
        metrics : Mapping[str, float]
            Values by metric name.
        """
        self.rows += [(epoch, self.property_name, data_split, name, float(value)) for name, value in metrics.items()]

    def to_frame(self) -> pd.DataFrame:
        """Return the table with the columns ``epoch, property, data_split, metric_name, value``."""
        frame = pd.DataFrame(self.rows, columns=list(HISTORY_COLUMNS))
        return frame.astype({"epoch": "int64", "value": "float64"})
