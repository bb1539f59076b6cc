from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.simulate.experiment import SMALL, make_weights
from alphadia_tl.simulate.instrument import LAB
from alphadia_tl.simulate.render import Acquisition
from alphadia_tl.simulate.sample import Digestion, Sample, digest, make_sample, random_proteome
from alphadia_tl.simulate.weights import BaseTraining

TINY = replace(
    SMALL,
    n_proteins=8,
    acquisition=replace(SMALL.acquisition, gradient_minutes=0.5),
    training=BaseTraining(
        n_proteins=8, n_rt=40, n_charge=40, n_ms2=40, n_ccs=40, epochs_rt=1, epochs_charge=1, epochs_ms2=1, epochs_ccs=1
    ),
)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home folder with the base weights of TINY."""
    path = tmp_path_factory.mktemp("home")
    make_weights(path, TINY)
    return path


@pytest.fixture(scope="session")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proteome") / "proteome.fasta"
    random_proteome(20, np.random.default_rng(5)).write_fasta(path)
    return path


@pytest.fixture(scope="session")
def library_df(fasta: Path) -> pd.DataFrame:
    return digest(fasta, Digestion())


@pytest.fixture(scope="session")
def sample(library_df: pd.DataFrame) -> Sample:
    return make_sample(library_df, LAB, np.random.default_rng(6))


@pytest.fixture
def quiet() -> Acquisition:
    """Two minutes without noise and without m/z error."""
    return Acquisition(gradient_minutes=2.0, noise_peaks=0.0, ppm_offset=0.0, ppm_slope=0.0, ppm_sigma=0.0)
