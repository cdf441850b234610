"""Models that others made: one module a format."""

from napari_radcnn.foreign.opening import open_model

__all__ = ["open_model"]
