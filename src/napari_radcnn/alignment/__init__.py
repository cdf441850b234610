"""Where one scan lies in the patient space of another: found by rigid registration, kept as a transform."""

from napari_radcnn.alignment.record import read_alignment, write_alignment
from napari_radcnn.alignment.register import align
from napari_radcnn.alignment.transform import Alignment

__all__ = ["Alignment", "align", "read_alignment", "write_alignment"]
