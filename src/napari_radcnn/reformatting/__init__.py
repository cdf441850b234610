"""Planes through a scan in any direction, and slabs. NumPy and SciPy only."""

from napari_radcnn.reformatting.plane import Plane
from napari_radcnn.reformatting.sampling import SlabKind, reformat, sample, sample_labels, slab_depths

__all__ = ["Plane", "SlabKind", "reformat", "sample", "sample_labels", "slab_depths"]
