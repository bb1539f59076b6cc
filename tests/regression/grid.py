"""Rendered experiments of the regression table, and the searches that each is given."""

from dataclasses import dataclass, replace
from typing import Any

from alphadia_tl.simulate.experiment import DEMO, SMALL, Preset
from alphadia_tl.simulate.instrument import LAB, REFERENCE
from regression.measured import Measured

INSTRUMENTS = {
    "none": REFERENCE,
    "retention": replace(REFERENCE, name=LAB.name, retention=LAB.retention),
    "fragmentation": replace(REFERENCE, name=LAB.name, fragmentation=LAB.fragmentation),
    "all": LAB,
}
TRYPTIC = replace(SMALL.digestion, missed_cleavages=0)
PHOSPHO = replace(TRYPTIC, variable_modifications=("Oxidation@M", "Phospho@S", "Phospho@T", "Phospho@Y"))
RPE1 = "deepphospho_RPE1_DIA"
LABELLED = replace(SMALL.digestion, fixed_modifications=("Carbamidomethyl@C", "Dimethyl@Any_N-term", "Dimethyl@K"))


@dataclass(frozen=True)
class Cell:
    """One experiment.

    Attributes
    ----------
    name : str
        Row of the table.
    preset : Preset
        The experiment.
    arms : tuple of str
        Searches of it, keys of `ARMS`.
    measured : Measured or None
        What it is rendered from instead of the preset's instrument.
    """

    name: str
    preset: Preset
    arms: tuple[str, ...]
    measured: Measured | None = None


@dataclass(frozen=True)
class Arm:
    """One search.

    Attributes
    ----------
    title : str
        Column of the table.
    config : dict
        Sections that change the experiment's config.
    oracle : bool
        With the library that the truth predicts.
    memorised : bool
        With the tuned library, in which what a lenient pass saw is known by heart: wrong on purpose.
    truth_of : str
        With the tuned library, in which "ms2" or "rt" is that of the truth: what the other one costs.
    """

    title: str
    config: dict[str, Any]
    oracle: bool = False
    memorised: bool = False
    truth_of: str = ""


ARMS = {
    "off": Arm("one pass", {}),
    "on": Arm("alphadia_tl", {"alphadia_tl": {"enabled": True}}),
    "lenient": Arm("alphadia_tl, trained at 5 % FDR", {"alphadia_tl": {"enabled": True}, "fdr": {"fdr": 0.05}}),
    "few": Arm(
        "alphadia_tl, 500 training precursors", {"alphadia_tl": {"enabled": True, "max_training_precursors": 500}}
    ),
    "short": Arm("alphadia_tl, 10 epochs", {"alphadia_tl": {"enabled": True}, "transfer_learning": {"epochs": 10}}),
    "on_wide": Arm("alphadia_tl, RT tolerance by alphaDIA", {"alphadia_tl": {"enabled": True, "rt_tolerance": None}}),
    "off_near": Arm("one pass, RT tolerance 0.07", {"search": {"target_rt_tolerance": 0.07}}),
    "stock": Arm("alphaDIA's transfer step", {"general": {"transfer_step_enabled": True}}),
    "pseudo_reverse": Arm(
        "alphadia_tl, pseudo-reversed decoys",
        {"alphadia_tl": {"enabled": True}, "fdr": {"decoy_type": "pseudo_reverse"}},
    ),
    "long": Arm("alphadia_tl, 50 epochs", {"alphadia_tl": {"enabled": True}, "transfer_learning": {"epochs": 50}}),
    "true_ms2": Arm("alphadia_tl, then true intensities", {}, truth_of="ms2"),
    "true_rt": Arm("alphadia_tl, then true times", {}, truth_of="rt"),
    "oracle": Arm("perfect library", {}, oracle=True),
    "oracle_near": Arm("perfect library, RT tolerance 0.07", {"search": {"target_rt_tolerance": 0.07}}, oracle=True),
    "oracle_2": Arm("perfect library, random state 2", {"general": {"random_state": 2}}, oracle=True),
    "memorised": Arm("hits of a lenient pass learnt by heart", {}, memorised=True),
}
BASIC_ARMS = ("off", "on", "on_wide", "oracle", "oracle_near", "memorised", "stock", "pseudo_reverse")
OWN_HITS_ARMS = (*BASIC_ARMS, "lenient", "few", "short")
ALL_ARMS = (*OWN_HITS_ARMS, "off_near", "long", "true_ms2", "true_rt")


def shift(kind: str, seed: int = 1, base: Preset = SMALL, **acquisition: Any) -> Preset:
    """Return an experiment whose run and base weights differ in the way named."""
    measured = replace(base.acquisition, **acquisition) if acquisition else base.acquisition
    return replace(base, instrument=INSTRUMENTS[kind], seed=seed, acquisition=measured)


CELLS = [
    Cell("all, seed 1", shift("all"), ALL_ARMS),
    Cell("none", shift("none"), BASIC_ARMS),
    Cell("retention only", shift("retention"), BASIC_ARMS),
    Cell("fragmentation only", shift("fragmentation"), BASIC_ARMS),
    Cell("all, seed 2", shift("all", 2), ALL_ARMS),
    Cell("all, seed 3", shift("all", 3), OWN_HITS_ARMS),
    Cell("all, seed 4", shift("all", 4), OWN_HITS_ARMS),
    Cell("all, seed 5", shift("all", 5), OWN_HITS_ARMS),
    Cell("all, wide windows", shift("all", n_windows=6), BASIC_ARMS),
    Cell("all, two runs", replace(shift("all"), n_runs=2), (*BASIC_ARMS, "oracle_2")),
    Cell("all, demo size", shift("all", base=DEMO), ALL_ARMS),
    Cell("all, Glu-C", replace(shift("all"), digestion=replace(SMALL.digestion, enzyme="glu-c")), BASIC_ARMS),
    Cell("all, Arg-C", replace(shift("all"), digestion=replace(SMALL.digestion, enzyme="arg-c")), BASIC_ARMS),
    Cell("all, labelled (dimethyl)", replace(shift("all"), digestion=LABELLED), (*BASIC_ARMS, "long")),
    Cell("all, longer gradient", shift("all", gradient_minutes=10.0), BASIC_ARMS),
    Cell("all, 500 precursors", replace(shift("all"), peptide_fraction=0.12), BASIC_ARMS),
    Cell("measured", replace(SMALL, digestion=TRYPTIC), (*BASIC_ARMS, "long"), Measured(RPE1, 3000)),
    Cell("measured, phospho", replace(SMALL, digestion=PHOSPHO), BASIC_ARMS, Measured(RPE1, 3000, "Phospho")),
    Cell("measured, 10,000 peptides", replace(DEMO, digestion=TRYPTIC), BASIC_ARMS, Measured(RPE1, 10_000)),
]
