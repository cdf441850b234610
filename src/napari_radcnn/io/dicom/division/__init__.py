"""Frames of one grid divided into volumes: which of those at the same place belong together, and how that is known."""

from napari_radcnn.io.dicom.division.divide import Division, Part, divide, divide_shifted, divide_uneven
from napari_radcnn.io.dicom.division.places import gap_tolerance, is_even, places, same_place_mm

__all__ = [
    "Division",
    "Part",
    "divide",
    "divide_shifted",
    "divide_uneven",
    "gap_tolerance",
    "is_even",
    "places",
    "same_place_mm",
]
