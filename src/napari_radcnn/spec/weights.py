"""Weights: where they lie, whether they are the right ones, and how they are loaded."""

from __future__ import annotations

import hashlib
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.errors import ModelError
from napari_radcnn.spec.model import ModelSpec, WeightsFile

if TYPE_CHECKING:
    import torch


def find_weights(spec: ModelSpec, weights: WeightsFile) -> Path:
    """Return the path of a weights file that lies inside an installed package, without importing the package.

    Raises
    ------
    ModelError
        If the package or the file is missing.
    """
    found = find_spec(weights.package)
    if found is None or found.origin is None:
        raise ModelError(f"The weights of '{spec.name}' are not installed. {spec.how_to_install}")
    path = Path(found.origin).parent.parent / weights.path
    if not path.is_file():
        raise ModelError(
            f"The weights of '{spec.name}' are missing: {path}. Install them again: "
            f"{spec.install_command.replace('install', 'install --force-reinstall', 1)}"
        )
    return path


def read_verified(spec: ModelSpec, weights: WeightsFile) -> Path:
    """Return the path of a weights file whose SHA-256 is the one the spec names.

    Raises
    ------
    ModelError
        If the file is missing, unreadable or another one.
    """
    path = find_weights(spec, weights)
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise ModelError(f"The weights of '{spec.name}' cannot be read: {path}: {error.strerror}.") from error
    if digest != weights.sha256:
        raise ModelError(
            f"The weights of '{spec.name}' differ from those it was tested with: {path} has SHA-256 "
            f"{digest[:12]}..., expected {weights.sha256[:12]}.... Install them again: "
            f"{spec.install_command.replace('install', 'install --force-reinstall', 1)}"
        )
    return path


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a whole file; computed again only when its size or a time has changed, or it is another.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    stamp = path.stat()
    # The time of the last change of its entry counts as well: that of its content can be set back.
    return _sha256(path, (stamp.st_size, stamp.st_mtime_ns, stamp.st_ctime_ns, stamp.st_ino, stamp.st_dev))


@lru_cache(maxsize=256)
def _sha256(path: Path, stamp: tuple[int, ...]) -> str:  # noqa: ARG001  the stamp is the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_torchscript(spec: ModelSpec, weights: WeightsFile, device: torch.device) -> torch.jit.ScriptModule:
    """Return a TorchScript network, in evaluation mode, on `device`.

    TorchScript is a program, so only files whose SHA-256 stands in our own registry come this way.

    Raises
    ------
    ModelError
        If the file is missing, another one, or cannot be loaded.
    """
    import torch

    path = read_verified(spec, weights)
    with warnings.catch_warnings():
        # torch deprecates loading TorchScript; remove when these weights are kept as safetensors of our own.
        warnings.simplefilter("ignore")
        try:
            network = torch.jit.load(str(path), map_location=device)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0]
            raise ModelError(f"The weights of '{spec.name}' cannot be loaded: {path}: {first}") from error
    return network.eval()
