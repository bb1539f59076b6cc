"""Simulated DIA experiments with known truth."""

from alphadia_tl.simulate.experiment import DEMO, SMALL, Experiment, Preset, make_experiment, make_weights
from alphadia_tl.simulate.instrument import LAB, REFERENCE, Instrument
from alphadia_tl.simulate.render import render_run
from alphadia_tl.simulate.run_file import Acquisition, DiaRun
from alphadia_tl.simulate.truth import Score, read_runs, score_precursors, score_runs, score_search

__all__ = [
    "DEMO",
    "LAB",
    "REFERENCE",
    "SMALL",
    "Acquisition",
    "DiaRun",
    "Experiment",
    "Instrument",
    "Preset",
    "Score",
    "make_experiment",
    "make_weights",
    "read_runs",
    "render_run",
    "score_precursors",
    "score_runs",
    "score_search",
]
