"""The tutorial notebook runs from top to bottom."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"
# The weights that all end-to-end tests share, and fewer precursors to tune on.
QUICKER = {
    "from alphadia_tl.simulate.experiment import SMALL, make_weights": (
        "from alphadia_tl.simulate.experiment import make_weights\n"
        f"import sys; sys.path.append({str(Path(__file__).parents[1])!r})\n"
        "from experiments import QUICK as SMALL"
    ),
    ".sample(1500, ": ".sample(1000, ",
    'settings={"epochs": 3}': 'settings={"epochs": 2, "train_fraction": 0.5, "test_fraction": 0.3}',
}


@pytest.mark.regression
def test_the_tutorial_runs_and_shows_better_models(tmp_path, experiment, weights):
    shutil.copytree(weights, tmp_path / "tutorial_output")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for shown, here in QUICKER.items():
        [cell] = [cell for cell in code if shown in cell.source]
        cell.source = cell.source.replace(shown, here)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = "\n".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output
    )
    assert "diverging: stops after epoch 6" in text
    assert "converging: goes on" in text
    before, after = text.split("median PCC ")[1].split()[0], text.split("median PCC ")[1].split()[2]
    assert float(after) > float(before) + 0.05
    assert all(f"{name}: " in text for name in ("rt", "charge", "ms2"))
    assert (tmp_path / "tutorial_output" / "tuned" / "ms2.pth").exists()


def test_the_stored_notebook_holds_no_outputs():
    assert not any(cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
