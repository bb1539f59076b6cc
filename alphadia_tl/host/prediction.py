"""alphaDIA's library prediction with the plugin's predictor: the same models and numbers, in one process and fast."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


class LibraryPredictor(Protocol):
    """A manager of the four models, as peptdeep's."""

    def predict_all(
        self, precursor_df: pd.DataFrame, *, predict_items: Sequence[str], frag_types: list[str]
    ) -> dict[str, pd.DataFrame]:
        """Predict retention time, mobility and fragments."""

    def predict_charge(
        self,
        psm_df: pd.DataFrame,
        min_precursor_charge: int,
        max_precursor_charge: int,
        charge_prob_cutoff: float | None = None,
    ) -> pd.DataFrame:
        """Return one row per peptidoform and charge state above the cut-off."""


def prediction_class(predictor: LibraryPredictor) -> type:
    """Return a subclass of alphaDIA's prediction step that asks a predictor.

    Parameters
    ----------
    predictor : LibraryPredictor
        Has the models, collision energy and instrument that the step would load.
    """
    from alphabase.peptide.fragment import get_charged_frag_types
    from alphadia.libtransform.prediction import PeptDeepPrediction

    class Prediction(PeptDeepPrediction):  # type: ignore[misc]
        def forward(self, input: Any) -> Any:
            started = time.perf_counter()
            types = list(get_charged_frag_types(self.fragment_types, self.max_fragment_charge))
            input.charged_frag_types = types
            df = input.precursor_df
            if self.predict_charge:
                df = self._with_charges(df)
            logger.info(f"Predicting RT, MS2 and mobility of {len(df):,} precursors")
            predicted = predictor.predict_all(df, predict_items=["rt", "ms2", "mobility"], frag_types=types)
            input._fragment_mz_df = predicted["fragment_mz_df"][types]
            input._fragment_intensity_df = predicted["fragment_intensity_df"][types]
            input._precursor_df = predicted["precursor_df"]
            seconds = time.perf_counter() - started
            logger.info(f"Predicted {len(df):,} precursors in {seconds:.1f} s ({len(df) / seconds:,.0f} a second)")
            return input

        def _with_charges(self, df: pd.DataFrame) -> pd.DataFrame:
            lowest, highest = (int(df["charge"].min()), int(df["charge"].max())) if "charge" in df.columns else (1, 10)
            kept = predictor.predict_charge(df, lowest, highest, self.min_charge_probability)
            logger.info(f"Charge prediction: {len(df):,} precursors before, {len(kept):,} after")
            return kept

    return Prediction
