"""Backends: who computes a patch. Behind one Protocol, so that the engine does not know which it is."""

from __future__ import annotations

from napari_radcnn.inference.backends.base import NetworkSource, Patch, Predictor

__all__ = ["NetworkSource", "Patch", "Predictor"]
