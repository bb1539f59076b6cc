"""What the package's first level offers is what the page of the Python API says, and its examples run."""

import re
from pathlib import Path

import pytest
import yaml
from made_models import write_networks
from tasks.made import make_fragments, make_peptides

import alphadia_tl
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models.provenance import model_hashes

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_page_documents_what_there_is_and_no_more():
    documented = re.findall(r"auto(?:class|function):: (\w+)", PAGE)
    assert sorted([*documented, "__version__"]) == sorted(alphadia_tl.__all__)
    assert all(getattr(alphadia_tl, name) for name in alphadia_tl.__all__)


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """Return a folder with the bundle of a search and a FASTA file, in which the examples are run."""
    bundle = tmp_path / "output" / "transfer"
    write_networks(bundle / "peptdeep.transfer")
    record = {"decisions": [], "models": model_hashes(bundle / "peptdeep.transfer")}
    (bundle / "alphadia_tl.yaml").write_text(yaml.safe_dump(record))
    df = make_peptides(120, seed=5)
    rows = {"proba": 0.01, "raw_name": "run", "use_for_ms2": True, "precursor_mz": 500.0}
    df = df.assign(rt_observed=df["rt_norm"] * 1200, **rows).drop(columns="ccs")
    fragments = make_fragments(df)
    TransferLibrary(df, fragments, fragments > -1).save(bundle / "speclib.transfer.hdf")
    (tmp_path / "other.fasta").write_text(">sp|P1|ONE_TEST GN=ONE\nMKPEPTIDEKAMDDERLLAGSVTKR\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run(searched):
    whole_search, example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "TransferLearningPlan(" in whole_search  # run by the end-to-end tests
    values = {}
    exec(example.replace("FinetuneManager(", "FinetuneManager(settings={'epochs': 1, 'warmup_epochs': 0}, "), values)
    assert (searched / "other.parquet").is_file()
    assert {p.stem for p in (searched / "tuned").iterdir()} == {"rt", "ms2", "charge", "ccs"}
    assert set(values["stats"].columns) == {"epoch", "property", "data_split", "metric_name", "value"}
