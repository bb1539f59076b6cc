"""Rendered experiments of the validation, and the searches that each is given."""

from dataclasses import dataclass, field, replace
from typing import Any

from alphadia_tl.simulate.experiment import SMALL, Preset
from regression.measured import Measured

RPE1, PROSIT = "deepphospho_RPE1_DIA", "prosit_hye"
N_PEPTIDES = 2000
TRYPTIC = replace(SMALL.digestion, missed_cleavages=0)
PHOSPHO = replace(TRYPTIC, variable_modifications=("Oxidation@M", "Phospho@S", "Phospho@T", "Phospho@Y"))
#: Prosit's spectra are those of charges 2 and 3.
TWO_CHARGES = replace(TRYPTIC, precursor_charge=(2, 3))
#: Strength of the difference between `LAB` and `REFERENCE` by which Prosit's spectra and Chronologer's times are moved.
SHIFT = 0.3
#: So little that a part of the sample cannot be found: with twenty times as much, 99 % of it is.
SIGNAL = 30.0
STATES = (1, 2, 3)


def standard(digestion: Any = TRYPTIC, window: float = 25.0) -> Preset:
    """Return an experiment of 20 minutes with isolation windows of so many thomson; noise is in step with them."""
    low, high = SMALL.acquisition.window_mz
    acquisition = replace(
        SMALL.acquisition,
        gradient_minutes=20.0,
        signal=SIGNAL,
        n_windows=round((high - low) / window),
        noise_peaks=SMALL.acquisition.noise_peaks * window / 50.0,
    )
    return replace(SMALL, digestion=digestion, acquisition=acquisition)


@dataclass(frozen=True)
class Cell:
    """One experiment.

    Attributes
    ----------
    name : str
        Row of the table.
    preset : Preset
        Digest and acquisition.
    measured : Measured
        What it is rendered from.
    """

    name: str
    preset: Preset
    measured: Measured


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
    window : bool
        With the RT tolerance that the plugin chose in the arm `on` of the same cell and random state.
    memorised : bool
        With the library of the arm `on`, in which what a lenient pass saw is known by heart: wrong on purpose.
    """

    title: str
    config: dict[str, Any] = field(default_factory=dict)
    oracle: bool = False
    window: bool = False
    memorised: bool = False


#: In the order in which they are run: `on` finds the window of others.
ARMS = {
    "off": Arm("one pass"),
    "on": Arm("tuned, window", {"alphadia_tl": {"enabled": True}}),
    "on_wide": Arm("tuned", {"alphadia_tl": {"enabled": True, "rt_tolerance": None}}),
    "off_near": Arm("one pass, window", window=True),
    "oracle_near": Arm("perfect library, window", oracle=True, window=True),
    "stock": Arm("transfer step", {"general": {"transfer_step_enabled": True}}),
    "memorised": Arm("wrong on purpose", memorised=True),
}
CELLS = [
    Cell("wide windows", standard(TWO_CHARGES), Measured(PROSIT, N_PEPTIDES, shift=SHIFT)),
    Cell("narrow windows", standard(TWO_CHARGES, window=4.0), Measured(PROSIT, N_PEPTIDES, shift=SHIFT)),
    Cell("measured", standard(), Measured(RPE1, N_PEPTIDES)),
    Cell("measured, phospho", standard(PHOSPHO), Measured(RPE1, N_PEPTIDES, modified="Phospho")),
    Cell("another predictor", standard(TWO_CHARGES), Measured(PROSIT, N_PEPTIDES, taught=False)),
    Cell("no shift", standard(TWO_CHARGES), Measured(PROSIT, N_PEPTIDES)),
]
