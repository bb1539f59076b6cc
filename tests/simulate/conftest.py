from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.simulate.instrument import LAB
from alphadia_tl.simulate.run_file import Acquisition
from alphadia_tl.simulate.sample import Digestion, Sample, digest, make_sample, random_proteome


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
