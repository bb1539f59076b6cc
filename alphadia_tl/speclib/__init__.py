"""Regenerate the spectral library of the first pass with tuned predictors."""

from alphadia_tl.speclib.charge import choose_charge_cutoff, kept_fraction
from alphadia_tl.speclib.own import OwnValues
from alphadia_tl.speclib.predictor import Predictor
from alphadia_tl.speclib.regenerate import ACCEPTABLE, regenerate, tables_to_predict
from alphadia_tl.speclib.storage import load_library
from alphadia_tl.speclib.summary import RegenerationSummary

__all__ = [
    "ACCEPTABLE",
    "OwnValues",
    "Predictor",
    "RegenerationSummary",
    "choose_charge_cutoff",
    "kept_fraction",
    "load_library",
    "regenerate",
    "tables_to_predict",
]
