"""Rendered experiments of the validation, and the searches that each is given."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.simulate.experiment import SMALL, Experiment, Preset, make_experiment
from alphadia_tl.simulate.sample import ABSENT_PREFIX, Digestion
from regression.base import make_base
from regression.measured import Measured, make_measured
from regression.others import Other, make_other

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
#: Ions for each unit of intensity of Synthedia's run.
IONS = 5e-7
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
    made_of : Measured, Other or None
        What it is rendered from, or the run that somebody else has made; None for random proteins on our instrument.
    preset : Preset or None
        Digest and acquisition; None for a run that is there.
    arms : tuple
        Searches that it is given; empty for all.
    """

    name: str
    made_of: Measured | Other | None
    preset: Preset | None = None
    arms: tuple[str, ...] = ()

    @property
    def entrapment(self) -> EntrapmentSettings:
        """How the error of a search is estimated."""
        ratio = self.made_of.absent_per_present if isinstance(self.made_of, Other) else ABSENT_PER_PRESENT
        return EntrapmentSettings(prefix=ABSENT_PREFIX, design="foreign", ratio=ratio)

    def make(self, work: Path) -> Experiment:
        """Make the experiment in a folder, or take over what was made there."""
        folder = self.folder(work) / "experiment"
        if self.made_of is None:
            assert self.preset is not None
            return make_experiment(folder, self.preset, weights_folder=work / "rendered_weights")
        weights = make_base(work / "weights", taught=self.made_of.taught)
        if isinstance(self.made_of, Other):
            return make_other(folder, self.made_of, weights)
        assert self.preset is not None
        return make_measured(folder, self.preset, self.made_of, weights)

    def folder(self, work: Path) -> Path:
        """Return where its files and searches lie."""
        return work / self.name.replace(", ", "_").replace(" ", "_")


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
#: A quarter of the proteome is not in the sample.
ABSENT_PER_PRESENT = 1 / 3
TIMSIM = Other(
    "timsim",
    Digestion(missed_cleavages=2, variable_modifications=(), precursor_charge=(2, 3), precursor_mz=(400.0, 1200.0)),
    absent_per_present=1.0,
    config={
        "search": {"extraction_backend": "python", "target_ms1_tolerance": 15, "target_ms2_tolerance": 15},
        "search_initial": {"ms1_tolerance": 20, "ms2_tolerance": 20, "mobility_tolerance": 0.08, "rt_tolerance": 240},
        "calibration": {"optimization_lock_target": 200},
    },
)
SYNTHEDIA = Other(
    "synthedia",
    Digestion(missed_cleavages=1, variable_modifications=(), precursor_charge=(2, 3)),
    absent_per_present=13265 / 4428,
    ions=IONS,
    library=RPE1,
)
#: Peptides that begin with aspartate, which our base models have not learnt.
ASP_N = replace(SMALL, digestion=replace(SMALL.digestion, enzyme="asp-n"))
CELLS = [
    Cell("wide windows", Measured(PROSIT, N_PEPTIDES, shift=SHIFT), standard(TWO_CHARGES)),
    Cell("narrow windows", Measured(PROSIT, N_PEPTIDES, shift=SHIFT), standard(TWO_CHARGES, window=4.0)),
    Cell("measured", Measured(RPE1, N_PEPTIDES), standard()),
    Cell("measured, phospho", Measured(RPE1, N_PEPTIDES, modified="Phospho"), standard(PHOSPHO)),
    Cell("another predictor", Measured(PROSIT, N_PEPTIDES, taught=False), standard(TWO_CHARGES)),
    Cell("no shift", Measured(PROSIT, N_PEPTIDES), standard(TWO_CHARGES)),
    Cell("Asp-N", None, ASP_N, arms=("off", "on", "stock")),
    Cell("diaPASEF of TimSim", TIMSIM, arms=("off", "on", "stock")),
    Cell("run of Synthedia", SYNTHEDIA, arms=("off", "on", "on_wide", "off_near", "oracle_near", "stock")),
]
