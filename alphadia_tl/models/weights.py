"""Where weights come from: files or the installed zip. Checked strictly, never downloaded."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from alphabase.peptide.fragment import get_charged_frag_types, sort_charged_frag_types
from peptdeep.model.ccs import AlphaCCSModel
from peptdeep.model.charge import ChargeModelForModAASeq
from peptdeep.model.model_interface import ModelInterface
from peptdeep.model.ms2 import pDeepModel, tensor_to_charged_frags
from peptdeep.model.rt import AlphaRTModel
from peptdeep.pretrained_models import download_models, get_model_url, get_model_zip_file_path
from torch import Tensor

from alphadia_tl.bundle import weights_folder
from alphadia_tl.errors import WeightsError
from alphadia_tl.files import write_whole
from alphadia_tl.settings import MODEL_NAMES
from alphadia_tl.tasks.ms2 import DEFAULT_FRAG_TYPES

logger = logging.getLogger(__name__)

FRAG_TYPES_KEY = "_supported_charged_frag_types"
INTERFACES: dict[str, Callable[..., ModelInterface]] = {
    "rt": AlphaRTModel,
    "ms2": pDeepModel,
    "charge": ChargeModelForModAASeq,
    "ccs": AlphaCCSModel,
}
GENERIC = {name: f"generic/{name}.pth" for name in INTERFACES}
ZIP_MEMBERS = {
    "generic": GENERIC,
    "phospho": GENERIC | {"rt": "phospho/rt_phos.pth"},
    "digly": GENERIC | {"rt": "digly/rt_digly.pth"},
}
MODEL_TYPE_ALIASES = {
    **dict.fromkeys(("generic", "regular", "common", "hla", "unspecific", "non-specific", "nonspecific"), "generic"),
    **dict.fromkeys(("phospho", "phos", "phosphorylation"), "phospho"),
    **dict.fromkeys(("digly", "glygly", "ubiquitylation", "ubiquitination", "ubiquitinylation"), "digly"),
}
INSTALL_ADVICE = (
    "Run `peptdeep install-models`; without a network `peptdeep install-models --model-file pretrained_models_v3.zip`, "
    f"a copy of {get_model_url()}; or set library_prediction.peptdeep_model_path to a folder with rt.pth, ms2.pth and "
    "charge.pth."
)

ModelSource = Path | str | Mapping[str, Path | str] | None


class MissingWeightsError(WeightsError):
    """A mapping, folder or zip of models has no weights of one model; it may have those of others."""


@dataclass(frozen=True)
class Weights:
    """The bytes of one weight file: of "rt", "ms2", "charge" or "ccs", and where they were read."""

    name: str
    source: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Hash of the file, for provenance."""
        return hashlib.sha256(self.content).hexdigest()

    def state_dict(self) -> dict[str, Tensor]:
        """Read the tensors; code in the file is not run."""
        try:
            state = torch.load(io.BytesIO(self.content), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError, IndexError) as e:
            raise WeightsError(
                f"The weight file {self.source} of the {self.name} model cannot be read as PyTorch weights "
                f"({type(e).__name__}).",
                "It is damaged or no weight file: replace it.",
            ) from e
        if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
            raise WeightsError(f"The {self.name} model's weight file {self.source} holds no weights.", "Replace it.")
        return dict(state)


def find_weights(name: str, models: ModelSource = None, model_type: str = "generic") -> Weights:
    """Read the weights of "rt", "ms2", "charge" or "ccs"; raises MissingWeightsError where there are none.

    ``models`` is a folder with ``{name}.pth``, a bundle, a zip laid out as peptdeep's, or a file per model; None is the
    zip that peptdeep has installed. ``model_type`` says which members of a zip: "generic", "phospho" or "digly" (or
    peptdeep's other names for them). Nothing is ever downloaded.
    """
    if isinstance(models, Mapping):
        if name not in models:
            raise MissingWeightsError(f"No weight file was given for the {name} model.", f"Given: {', '.join(models)}.")
        return _read_file(name, Path(models[name]))
    path = Path(get_model_zip_file_path()) if models is None else weights_folder(Path(models))
    if path.is_dir():
        return _read_file(name, path / f"{name}.pth")
    if models is not None and path.suffix.lower() != ".zip":
        raise WeightsError(f"There is no folder with weight files at {path}.", INSTALL_ADVICE)
    return _read_zip(name, path, model_type)


def _read_file(name: str, path: Path) -> Weights:
    try:
        return Weights(name, str(path), path.read_bytes())
    except OSError as e:
        kind = MissingWeightsError if isinstance(e, FileNotFoundError) else WeightsError
        raise kind(
            f"The weight file {path} of the {name} model cannot be read: {e.strerror or e}.", INSTALL_ADVICE
        ) from e


def known_model_type(model_type: str) -> str:
    """Return "generic", "phospho" or "digly" for any of peptdeep's names; WeightsError for another."""
    kind = MODEL_TYPE_ALIASES.get(model_type.lower())
    if kind is None:
        raise WeightsError(f"Unknown peptdeep_model_type '{model_type}'.", f"Known: {', '.join(ZIP_MEMBERS)}.")
    return kind


def _read_zip(name: str, path: Path, model_type: str) -> Weights:
    member = ZIP_MEMBERS[known_model_type(model_type)][name]
    if not path.is_file():
        raise WeightsError(f"The pretrained PeptDeep models are not installed: {path} does not exist.", INSTALL_ADVICE)
    try:
        with zipfile.ZipFile(path) as archive:
            return Weights(name, f"{path}:{member}", archive.read(member))
    except KeyError as e:
        raise MissingWeightsError(f"{path} has no member {member} for the {name} model.", INSTALL_ADVICE) from e
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as e:
        raise WeightsError(f"{path} cannot be read as a zip file: {e}.", "Delete it. " + INSTALL_ADVICE) from e


def install_if_missing() -> None:
    """Let peptdeep install its pretrained models where they are missing, as alphaDIA would in its first search."""
    path = Path(get_model_zip_file_path())
    if path.is_file():
        return
    logger.info("The pretrained PeptDeep models are not installed; downloading them to %s", path)
    try:
        download_models()
    except (OSError, ValueError) as e:
        raise WeightsError(
            f"The pretrained PeptDeep models are not installed ({path} does not exist) and cannot be downloaded: "
            f"{str(e).splitlines()[0]}",
            INSTALL_ADVICE,
        ) from e


def installed_models() -> str:
    """Return where the installed models lie, which their zip holds, and its hash.

    Raises WeightsError where they are missing or damaged, or one is not PeptDeep's.
    """
    members = {ZIP_MEMBERS[kind][name]: (name, kind) for kind in reversed(ZIP_MEMBERS) for name in MODEL_NAMES}
    found = []
    for member, (name, kind) in members.items():
        try:
            build_model(find_weights(name, model_type=kind), "cpu")
            found.append(member.removesuffix(".pth"))
        except MissingWeightsError:
            if kind == "generic":
                raise
    path = Path(get_model_zip_file_path())
    return f"{path} holds {', '.join(sorted(found))}; sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def build_model(weights: Weights, device: str, charged_frag_types: Sequence[str] | None = None) -> ModelInterface:
    """Build a peptdeep model with given weights, on the CPU where there is no such device, as peptdeep does.

    ``charged_frag_types`` are the columns that MS2 predicts; None: all that the weights know. Raises WeightsError where
    keys or shapes differ from the architecture, a value is not finite, or a fragment type is not in the weights.
    """
    state = weights.state_dict()
    kwargs: dict[str, Any] = {}
    if weights.name == "ms2":
        supported = _supported_frag_types(state, weights.source)
        state.setdefault(FRAG_TYPES_KEY, torch.tensor([[ord(c) for c in ",".join(supported)]], dtype=torch.int32))
        unknown = [t for t in charged_frag_types or () if t not in supported]
        if unknown:
            raise WeightsError(
                f"The MS2 weights {weights.source} do not predict the fragment type(s) {', '.join(unknown)}.",
                f"They predict {', '.join(supported)}: choose among these with fragment_types and max_charge "
                "(transfer_library), fragment_types and max_fragment_charge (library_prediction).",
            )
        kwargs["charged_frag_types"] = supported
    with torch.random.fork_rng(devices=[]):
        interface = INTERFACES[weights.name](device=device, **kwargs)
    _check_fit(weights, state, interface.model.state_dict())
    interface.model.load_state_dict(state, strict=True)
    interface.model.eval()
    if weights.name == "ms2" and charged_frag_types is not None:
        interface.charged_frag_types = sort_charged_frag_types(list(charged_frag_types))
        interface._update_model_state()
    return interface


def _supported_frag_types(state: Mapping[str, Tensor], source: str) -> list[str]:
    if FRAG_TYPES_KEY not in state:
        return list(get_charged_frag_types(["b", "y", "b_modloss", "y_modloss"], 2))
    try:
        return list(tensor_to_charged_frags(state[FRAG_TYPES_KEY]))
    except (ValueError, TypeError, IndexError) as e:
        raise WeightsError(f"The MS2 weights {source} do not say which fragment types they predict.") from e


def _check_fit(weights: Weights, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    wrong = sorted(state.keys() ^ expected.keys()) or [k for k in expected if state[k].shape != expected[k].shape]
    if wrong:
        raise WeightsError(
            f"The weight file {weights.source} does not fit PeptDeep's {weights.name} model "
            f"({len(wrong)} layers differ, the first is '{wrong[0]}').",
            "It belongs to another model or version.",
        )
    broken = [k for k, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if broken:
        raise WeightsError(f"{weights.source} has weights that are not finite in '{broken[0]}'.", "Replace the file.")


def new_network(name: str, charged_frag_types: Sequence[str] | None = None, seed: int = 0) -> ModelInterface:
    """Build a peptdeep model with random weights on the CPU, for training from scratch.

    MS2 predicts b and y with charge 1 and 2 where no ``charged_frag_types`` are given.
    """
    kwargs = {"charged_frag_types": list(charged_frag_types or DEFAULT_FRAG_TYPES)} if name == "ms2" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return INTERFACES[name](device="cpu", **kwargs)


def save_networks(folder: Path, networks: Mapping[str, torch.nn.Module]) -> None:
    """Write ``{name}.pth`` of each network; raises OutputError where a file cannot be written."""
    for name, network in networks.items():
        write_whole(folder / f"{name}.pth", partial(_write, serialised(network)))


def serialised(network: torch.nn.Module) -> bytes:
    """Return the weights as the content of a file that peptdeep can load."""
    # not straight into the file: torch writes the file's name, here a temporary one, into the archive
    buffer = io.BytesIO()
    torch.save({k: v.detach().cpu() for k, v in network.state_dict().items()}, buffer)
    return buffer.getvalue()


START_FOLDER = "peptdeep.start"


def prediction_config(model_path: str | None, model_type: str | None, output_folder: Path) -> dict[str, Any]:
    """Return the keys of ``library_prediction`` with which alphaDIA predicts with the models that the user means.

    Path (a folder, a zip, which is unpacked into the output folder, or a bundle) and type are as the user wrote them;
    without a type, alphaDIA would predict with a random MS2 network. Raises WeightsError if the type is unknown or the
    zip cannot be read, OutputError if it cannot be unpacked.
    """
    kind = known_model_type(model_type or "generic")
    path = weights_folder(Path(model_path).expanduser()) if model_path else None
    if path is not None and path.suffix.lower() == ".zip" and not path.is_dir():
        unpack(path, kind, output_folder / START_FOLDER)
        path = output_folder / START_FOLDER
    return {"peptdeep_model_path": None if path is None else str(path), "peptdeep_model_type": kind}


def unpack(path: Path, model_type: str, folder: Path) -> None:
    """Write the weights of a zip into a folder as ``{rt,ms2,charge,ccs}.pth``, those that the zip has."""
    for name in MODEL_NAMES:
        target = folder / f"{name}.pth"
        try:
            content = find_weights(name, path, model_type).content
        except MissingWeightsError:
            target.unlink(missing_ok=True)
        else:
            write_whole(target, partial(_write, content))


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def check_installed() -> None:
    """Make sure that alphaDIA can load the installed models, which it does before it looks at any others."""
    install_if_missing()
    for name in MODEL_NAMES:
        find_weights(name)
