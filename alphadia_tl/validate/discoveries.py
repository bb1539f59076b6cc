"""What a search reports, as far as entrapment needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import DataError

Array = NDArray[Any]


@dataclass(frozen=True)
class Discoveries:
    """Precursors, peptides or proteins that a search reports; decoys are removed already.

    Attributes
    ----------
    is_entrapment : ndarray of bool, shape (n,)
        True where nothing but entrapment sequences explains the discovery.
    score : ndarray of float, shape (n,)
        Higher is better; it ranks an entrapment against its target twin.
    q : ndarray of float, shape (n,)
        q value in [0, 1].
    key : ndarray of object, shape (n,)
        Unique name of the discovery, such as peptidoform and charge.
    twin_key : ndarray of object, shape (n,), optional
        For an entrapment the key of the target that it was made from; None or "" where it has none. Targets' entries
        are not read.

    Raises
    ------
    DataError
        If lengths differ, a score is not finite, a q value is outside [0, 1], or a key occurs twice.
    """

    is_entrapment: Array
    score: Array
    q: Array
    key: Array
    twin_key: Array | None = None

    def __post_init__(self) -> None:
        given = {"is_entrapment": self.is_entrapment, "score": self.score, "q": self.q, "key": self.key}
        if self.twin_key is not None:
            given["twin_key"] = self.twin_key
        shapes = {name: np.shape(values) for name, values in given.items()}
        if any(shape != (len(self.key),) for shape in shapes.values()):
            raise DataError(f"Discoveries need columns of one length, but they are {shapes}.")
        if np.asarray(self.is_entrapment).dtype != bool:
            raise DataError("Discoveries: 'is_entrapment' must be boolean.")
        if not np.isfinite(np.asarray(self.score, dtype=float)).all():
            raise DataError("Discoveries: some scores are not finite.", "Remove rows without a score.")
        q = np.asarray(self.q, dtype=float)
        if not ((q >= 0) & (q <= 1)).all():
            raise DataError("Discoveries: some q values are outside [0, 1] or missing.")
        twice = pd.Index(self.key).duplicated()
        if twice.any():
            raise DataError(
                f"Discoveries: {int(twice.sum())} keys occur more than once, such as {self.key[twice][0]!r}.",
                "Keep the best row of each key.",
            )

    def __len__(self) -> int:
        return len(self.key)
