"""Weights that come with the package itself."""

from __future__ import annotations

import json
from importlib.resources import files

from napari_radcnn.models.spec import WeightsFile


def shipped_weights(name: str) -> tuple[WeightsFile, ...]:
    """Return the weights ``NAME.safetensors`` of the package itself, with the SHA-256 of the ``NAME.json`` beside them.

    That file is the one place where the hash stands: training writes both. Without a readable one there are no weights.
    """
    sha256 = about_weights(name).get("sha256")
    if not isinstance(sha256, str):
        return ()
    return (WeightsFile("napari_radcnn", f"napari_radcnn/weights/{name}.safetensors", sha256),)


def about_weights(name: str) -> dict[str, object]:
    """Return what training wrote down of the weights that ship under a name; empty without any.

    Its keys: ``sha256``, ``recipe`` (its settings), ``steps``, ``trained_on`` (names of the scans), and what the recipe
    adds, such as a temperature.
    """
    try:
        described = json.loads((files("napari_radcnn") / "weights" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return described if isinstance(described, dict) else {}
