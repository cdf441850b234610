"""Backends: who computes a patch. Behind one Protocol, so that the engine does not know which it is."""

from __future__ import annotations

from napari_radcnn.inference.backends.base import BackendError, NetworkSource, OutOfMemoryError, Patch, Predictor
from napari_radcnn.inference.backends.choice import open_predictor
from napari_radcnn.inference.backends.fallback import late_warnings

__all__ = ["BackendError", "NetworkSource", "OutOfMemoryError", "Patch", "Predictor", "late_warnings", "open_predictor"]
