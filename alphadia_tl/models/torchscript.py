"""Models as TorchScript files, which torch alone can run, and an example of how."""

from __future__ import annotations

import io
import logging
import warnings
from functools import partial
from pathlib import Path

import torch
from peptdeep.model.featurize import instrument_dict, unknown_inst_index
from peptdeep.model.generic_property_prediction import Model_for_Generic_ModAASeq_Regression_Transformer
from peptdeep.settings import MOD_TO_FEATURE, mod_feature_size
from torch import Tensor

from alphadia_tl.errors import WeightsError
from alphadia_tl.files import write_text, write_whole
from alphadia_tl.models.weights import MissingWeightsError, build_model, find_weights
from alphadia_tl.settings import MODEL_NAMES
from alphadia_tl.tasks.charge import ASCII_OFFSET
from alphadia_tl.tasks.ms2 import MIN_INTENSITY, NCE_FACTOR
from alphadia_tl.tasks.scalar import CHARGE_FACTOR

logger = logging.getLogger(__name__)

TOLERANCE = 1e-5
EXAMPLE = '''"""The tuned models with torch and numpy alone: python example.py

A model takes peptides of one length: residues (n, length + 2), the letters as 1 to 26 between two zeros; modifications
(n, length + 2, {n_features}), the features of modifications.tsv at their sites (0: N-terminus, -1: C-terminus); and,
all (n, 1), charge and, for ms2, the collision energy (NCE), and the instrument (n,), a number of INSTRUMENTS.

rt gives the fraction of the gradient (n,), ccs square Angstroms (n,), charge the probabilities of charges 1 to 10, ms2
intensities (n, length - 1, types), the highest of a peptide 1: row i is the bond after residue i + 1.
"""
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
FRAGMENT_TYPES = {fragment_types}
INSTRUMENTS = {instruments}
FEATURES = {{}}
for line in (HERE / "modifications.tsv").read_text(encoding="utf-8").splitlines()[1:]:
    name, features = line.split("\\t")
    FEATURES[name] = [tuple(map(int, f.split(":"))) for f in features.split(",") if f]


def encode(sequences, mods, sites):
    """Return residues and modifications of peptides of one length; mods and sites as in "Oxidation@M" and "3"."""
    letters = np.array([list(s.encode()) for s in sequences], dtype=np.int64) - (ord("A") - 1)
    residues = np.pad(letters, [(0, 0), (1, 1)])
    features = np.zeros((*residues.shape, {n_features}), dtype=np.float32)
    for row, (names, places) in enumerate(zip(mods, sites)):
        for name, place in zip(filter(None, names.split(";")), filter(None, places.split(";"))):
            for index, count in FEATURES[name]:
                features[row, int(place), index] += count
    return torch.from_numpy(residues), torch.from_numpy(features)


def predict(name, sequences, mods, sites, charge=None, nce=None, instrument=None):
    """Predict with "rt", "ccs", "ms2" or "charge" for peptides of one length."""
    inputs = list(encode(sequences, mods, sites))
    inputs += [torch.tensor(v, dtype=torch.float32)[:, None] for v in (charge, nce) if v is not None]
    if instrument is not None:
        inputs.append(torch.tensor([INSTRUMENTS.get(i.upper(), {unknown}) for i in instrument]))
    with torch.no_grad():
        return torch.jit.load(str(HERE / f"{{name}}.pt"))(*inputs).numpy()


if __name__ == "__main__":
    peptides = ["LGGNEQVTR", "MAGNEQVSK"], ["", "Acetyl@Any_N-term;Oxidation@M"], ["", "0;1"]
    given = {{"rt": [], "charge": [], "ccs": [[2, 3]], "ms2": [[2, 3], [30, 30], ["Lumos", "Lumos"]]}}
    for name in given:
        if (HERE / f"{{name}}.pt").is_file():
            print(name, predict(name, *peptides, *given[name]))
'''


class _Predictor(torch.nn.Module):
    """A network with what is done to its inputs and outputs around it."""

    def __init__(self, name: str, network: torch.nn.Module, columns: list[int]) -> None:
        super().__init__()
        self.name, self.network, self.columns = name, network, columns

    def forward(
        self,
        residues: Tensor,
        modifications: Tensor,
        charge: Tensor | None = None,
        nce: Tensor | None = None,
        instrument: Tensor | None = None,
    ) -> Tensor:
        if self.name == "charge":
            letters = torch.where(residues > 0, residues + ASCII_OFFSET, residues)
            logits = Model_for_Generic_ModAASeq_Regression_Transformer.forward(self.network, letters, modifications)
            return torch.sigmoid(logits)
        others = [] if charge is None else [charge * CHARGE_FACTOR]
        others += [] if nce is None else [nce * NCE_FACTOR]
        others += [] if instrument is None else [instrument]
        values: Tensor = self.network(residues, modifications, *others).clamp_min(0)
        if self.name != "ms2":
            return values
        values = values[:, :, self.columns]
        top = values.amax((1, 2), keepdim=True)
        relative = values / torch.where(top > 0, top, torch.ones_like(top))
        return torch.where(relative < MIN_INTENSITY, torch.zeros_like(relative), relative)


def _inputs(name: str, n: int, length: int) -> tuple[Tensor, ...]:
    """Return inputs of n peptides."""
    generator = torch.Generator().manual_seed(n)
    residues = torch.nn.functional.pad(torch.randint(1, 26, (n, length), generator=generator), (1, 1))
    found = [residues, torch.rand(n, length + 2, mod_feature_size, generator=generator)]
    found += [torch.full((n, 1), 2.0)] if name in ("ccs", "ms2") else []
    found += [torch.full((n, 1), 30.0), torch.zeros(n, dtype=torch.int64)] if name == "ms2" else []
    return tuple(found)


def write_torchscript(models: Path, folder: Path) -> list[str]:
    """Write the models of a bundle as TorchScript, and how to use them without this package.

    Parameters
    ----------
    models : Path
        A bundle, the output folder of a search with one in it, or a folder or zip of weights.
    folder : Path
        Gets ``{rt,ccs,ms2,charge}.pt``, those that there are weights for, ``modifications.tsv`` and ``example.py``. All
        run on the CPU, with any number of peptides of any one length. MS2 predicts the fragment types that the weights
        know, but for losses of modifications.

    Returns
    -------
    list of str
        The models that were written.

    Raises
    ------
    WeightsError
        There are no weights, or they are damaged.
    OutputError
        A file cannot be written.
    """
    written, fragment_types = [], list[str]()
    for name in MODEL_NAMES:
        target = folder / f"{name}.pt"
        try:
            interface = build_model(find_weights(name, models), "cpu")
        except MissingWeightsError as error:
            logger.warning(f"Not written, {target.name}: {error.what}")
            target.unlink(missing_ok=True)
            continue
        known = interface.model.supported_charged_frag_types if name == "ms2" else []
        columns = [i for i, kind in enumerate(known) if "modloss" not in kind]
        fragment_types += [known[i] for i in columns]
        predictor = _Predictor(name, interface.model, columns).eval()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that sizes could be constants, which the second shape rules out
            other = {"check_inputs": [_inputs(name, 5, 12)], "check_tolerance": TOLERANCE}
            script = torch.jit.trace(predictor, _inputs(name, 3, 9), **other)  # type: ignore[no-untyped-call]
        content = io.BytesIO()
        torch.jit.save(script, content)  # type: ignore[no-untyped-call]
        write_whole(target, partial(_write, content.getvalue()))
        written.append(name)
    if not written:
        raise WeightsError(f"{models} holds no weights of a model.", "Give a bundle or a folder with rt.pth, ms2.pth.")
    lines = (
        f"{name}\t{','.join(f'{i}:{int(row[i])}' for i in row.nonzero()[0])}" for name, row in MOD_TO_FEATURE.items()
    )
    write_text(folder / "modifications.tsv", "\n".join(["modification\tfeatures", *lines]) + "\n")
    facts = {"n_features": mod_feature_size, "fragment_types": fragment_types, "instruments": instrument_dict}
    write_text(folder / "example.py", EXAMPLE.format(unknown=unknown_inst_index, **facts))
    logger.info(f"Wrote to {folder}: {', '.join(f'{n}.pt' for n in written)}, modifications.tsv, example.py.")
    return written


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
