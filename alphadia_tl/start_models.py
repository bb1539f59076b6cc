"""The models that alphaDIA's own prediction is given: always a folder, as it passes over anything else in silence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from alphadia_tl.bundle import weights_folder, write_whole
from alphadia_tl.errors import WeightsError
from alphadia_tl.settings import MODEL_NAMES
from alphadia_tl.tasks.weights import find_weights, install_if_missing, known_model_type

START_FOLDER = "peptdeep.start"


def prediction_config(model_path: str | None, model_type: str | None, output_folder: Path) -> dict[str, Any]:
    """Return the keys of ``library_prediction`` with which alphaDIA predicts with the models that the user means.

    Parameters
    ----------
    model_path : str or None
        ``library_prediction.peptdeep_model_path`` as the user wrote it: a folder, a zip or a bundle.
    model_type : str or None
        ``library_prediction.peptdeep_model_type``. Without one, alphaDIA would predict with a random MS2 network.
    output_folder : Path
        A zip is unpacked there.

    Raises
    ------
    WeightsError, OutputError
        If the type is unknown, or a zip cannot be unpacked.
    """
    kind = known_model_type(model_type or "generic")
    return {"peptdeep_model_path": _folder(model_path, kind, output_folder), "peptdeep_model_type": kind}


def _folder(model_path: str | None, kind: str, output_folder: Path) -> str | None:
    if not model_path:
        return None
    path = weights_folder(Path(model_path).expanduser())
    if path.is_dir() or path.suffix.lower() != ".zip":
        return str(path)
    folder = output_folder / START_FOLDER
    unpack(path, kind, folder)
    return str(folder)


def unpack(path: Path, model_type: str, folder: Path) -> None:
    """Write the weights of a zip into a folder as ``{rt,ms2,charge,ccs}.pth``; CCS where the zip has it.

    Raises
    ------
    WeightsError, OutputError
        If the zip lacks a model, or the folder cannot be written.
    """
    for name in MODEL_NAMES:
        target = folder / f"{name}.pth"
        try:
            content = find_weights(name, path, model_type).content
        except WeightsError:
            if name != "ccs":
                raise
            target.unlink(missing_ok=True)
        else:
            write_whole(target, partial(_write, content))


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def check_installed() -> None:
    """Make sure that alphaDIA can load the installed models, which it does before it looks at any others.

    Raises
    ------
    WeightsError
        If they are missing and cannot be downloaded, or the zip is damaged.
    """
    install_if_missing()
    for name in MODEL_NAMES:
        find_weights(name)
