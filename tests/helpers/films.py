"""Radiographs as DICOM files: a picture without a place, and the sides that the header states."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume

#: Rows and columns; nothing about them is even.
ROWS, COLUMNS = 40, 60


def corner_picture() -> np.ndarray:
    """Return a dark picture with a bright patch in its upper right corner."""
    picture = np.full((ROWS, COLUMNS), 100, np.int16)
    picture[3:12, 40:56] = 1000
    return picture


def waves(shape: tuple[int, int] = (ROWS, COLUMNS)) -> np.ndarray:
    """Return a picture that is taken for one of a patient: waves and a little noise."""
    y, x = np.indices(shape)
    noise = np.random.default_rng(5).normal(0, 15, shape)
    return (1000 + 300 * np.sin(x / 7) + 400 * np.cos(y / 5 + x / 11) + noise).astype(np.int16)


def read_film(folder: Path, picture: np.ndarray, *, modality: str = "CR", **tags: object) -> Volume:
    """Write a picture as a file that has no position, with these attributes, and return what is read from it."""
    grid = Geometry.from_parts((1, *picture.shape), (1.0, 0.8, 0.7))
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "FrameOfReferenceUID": None}
    write_dicom_series(folder, Volume(picture[None], grid), modality=modality, **nowhere, **tags)
    (volume,) = radcnn.read(folder)
    return volume
