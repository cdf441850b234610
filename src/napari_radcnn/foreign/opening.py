"""Which kind of model a path is, told by looking, and opening it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.foreign.bundle.open import is_bundle, open_bundle
from napari_radcnn.foreign.nnunet.open import is_nnunet, open_nnunet
from napari_radcnn.foreign.sidecar.opening import open_sidecar, open_weights, weights_kind
from napari_radcnn.foreign.unpacked import unpacked
from napari_radcnn.schemas import PACK_LIST
from napari_radcnn.spec.model import ModelSpec

_KINDS = (
    "a MONAI bundle (configs/inference.json), an nnU-Net v2 folder (plans.json), TorchScript, ONNX, safetensors or "
    "torch weights with a model.json"
)


def open_model(path: str | os.PathLike[str], *, trust: str | None = None) -> ModelSpec:
    """Describe a model that somebody else made; nothing in it is run.

    Parameters
    ----------
    path : path
        A MONAI bundle or an nnU-Net v2 model, as a folder or a ``.zip`` of one; or a TorchScript, ONNX, safetensors
        or torch file with a ``model.json``, or that ``model.json``, or its folder.
    trust : str, optional
        The SHA-256 of a model that contains code (TorchScript; a bundle with Python files or expressions), to let it
        run. The refusal states it.

    Returns
    -------
    ModelSpec
        To be given to the function of its task, such as `napari_radcnn.segment`.

    Raises
    ------
    ModelError
        If it is none of these, damaged, unsafe, contains code and is not trusted, or its weights do not fit.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> spleen = radcnn.open_model("spleen_ct_segmentation.zip")
    >>> labels = radcnn.segment(radcnn.read("ct.nii.gz")[0], spleen)
    """
    path = Path(path)
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder.")
    try:
        if path.is_dir():
            return _open_folder(path, path, trust)
        if path.suffix.lower() == ".json":
            return open_sidecar(path, trust=trust)
        if weights_kind(path) is not None:
            return open_weights(path, trust=trust)
        if zipfile.is_zipfile(path) or _begins_as_zip(path):
            return _open_folder(_root(unpacked(path), path), path, trust)
    except OSError as error:
        raise ModelError(f"{path.name}: the model cannot be read: {error.strerror or error}.") from error
    except ReadError as error:
        raise ModelError(str(error).replace("; unpack it yourself", "")) from error
    raise ModelError(f"{path.name}: not a supported model: {_KINDS}.")


def _open_folder(folder: Path, shown: Path, trust: str | None) -> ModelSpec:
    if is_bundle(folder):
        return open_bundle(folder, shown=shown, trust=trust)
    if is_nnunet(folder):
        return open_nnunet(folder)
    if (folder / "model.json").is_file():
        return open_sidecar(folder / "model.json", trust=trust)
    raise ModelError(f"{shown.name}: the folder contains no supported model: {_KINDS}.")


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _root(folder: Path, path: Path) -> Path:
    """Return the folder of the model in an unpacked archive: archives hold it at the top or one or two folders down."""
    if (folder / PACK_LIST).is_file():
        raise ModelError(f"{path.name}: this is a model pack; install it first: radcnn models install {path.name}")
    for _ in range(3):
        if is_bundle(folder) or is_nnunet(folder) or (folder / "model.json").is_file():
            return folder
        inner = [p for p in folder.iterdir() if p.is_dir()]
        if len(inner) != 1:
            break
        folder = inner[0]
    if is_bundle(folder):
        return folder
    raise ModelError(f"{path.name}: the archive contains no supported model: {_KINDS}.")
