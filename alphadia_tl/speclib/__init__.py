"""Regenerate the spectral library of the first pass with tuned predictors."""

from alphadia_tl.speclib.charge import choose_charge_cutoff, kept_fraction
from alphadia_tl.speclib.predictor import Predictor, Progress
from alphadia_tl.speclib.regenerate import ACCEPTABLE, regenerate, tables_to_predict
from alphadia_tl.speclib.summary import RegenerationSummary

__all__ = [
    "ACCEPTABLE",
    "Predictor",
    "Progress",
    "RegenerationSummary",
    "choose_charge_cutoff",
    "kept_fraction",
    "regenerate",
    "tables_to_predict",
]
