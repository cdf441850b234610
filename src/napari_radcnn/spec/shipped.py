"""Weights that come with the package itself."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import PurePosixPath

from napari_radcnn.spec.model import ModelSpec, WeightsFile


def shipped_weights(path: str) -> tuple[WeightsFile, ...]:
    """Return weights that lie in a folder of the package, with the SHA-256 that stands beside them.

    Parameters
    ----------
    path : str
        Of the file without its suffix, from the package's folder: ``"models/ct_denoise/ct-denoise"`` for
        ``ct-denoise.safetensors`` and ``ct-denoise.json``. The latter is the one place where the hash stands: training
        writes both.

    Returns
    -------
    tuple of WeightsFile
        One, or none without a readable ``.json``.
    """
    sha256 = _about(path).get("sha256")
    if not isinstance(sha256, str):
        return ()
    return (WeightsFile("napari_radcnn", f"napari_radcnn/{path}.safetensors", sha256),)


def about_weights(spec: ModelSpec) -> dict[str, object]:
    """Return what training wrote down of the first weights of a model of ours; empty without any.

    Its keys: ``sha256``, ``recipe`` (its settings), ``steps``, ``trained_on`` (names of the scans), and what the recipe
    adds, such as a temperature.
    """
    own = [weights for weights in spec.weights if weights.package == "napari_radcnn"]
    if not own:
        return {}
    return _about(str(PurePosixPath(own[0].path).relative_to("napari_radcnn").with_suffix("")))


def _about(path: str) -> dict[str, object]:
    try:
        described = json.loads((files("napari_radcnn") / f"{path}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return described if isinstance(described, dict) else {}
