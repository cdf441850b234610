"""A small scan for every model, by the modality that it was made for."""

from __future__ import annotations

from functools import cache

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import head
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.volume import Volume, VolumeMetadata
from trunk import trunk


def thick_head() -> Volume:
    """Return the head of slices that are deeper than its pixels are wide."""
    return head(Geometry.from_parts((28, 72, 56), (7.0, 3.0, 3.5), (-96.25, -106.5, -94.5)))


def radiograph() -> Volume:
    """Return two dark lungs beside a bright spine; the one on the right of the picture is brighter below."""
    y, x = np.mgrid[:90, :120] / np.array((90, 120))[:, None, None] - 0.5
    lungs = ((y / 0.38) ** 2 + ((abs(x) - 0.18) / 0.12) ** 2 < 1).astype(float)
    picture = 180 - 110 * lungs + 60 * lungs * (x > 0) * (y > 0.1)
    grid = Geometry.from_parts((1, 90, 120), (1, 3, 3), (7.0, -20.0, 40.0))
    return Volume(picture[None].astype(np.float32), grid, VolumeMetadata("chest", "CR"))


def gland() -> Volume:
    """Return the mask of a thin slab with a ball on it."""
    z, y, x = np.indices((60, 70, 80))
    slab = (abs(x - 40) < 12) & (abs(y - 36) < 3) & (abs(z - 30) < 12)
    ball = (x - 46) ** 2 + (y - 36) ** 2 + (z - 34) ** 2 < 25
    grid = Geometry.from_parts((60, 70, 80), (1, 1, 1), (20, 30, -50))
    return Volume((slab | ball).astype(np.uint8), grid, VolumeMetadata("gland", "SEG", is_label=True))


#: By DICOM's code; a model that was made for none gets the head.
MAKERS = {"MR": thick_head, "CT": lambda: trunk()[0], "CR": radiograph, "DX": radiograph, "SEG": gland}


def sample_for(spec: ModelSpec) -> Volume:
    """Return a scan that a model can work on, the same one each time, with voxels that nobody may change."""
    return _sample(next((modality for modality in spec.modalities if modality in MAKERS), "MR"))


@cache
def _sample(modality: str) -> Volume:
    scan = MAKERS[modality]()
    scan.array.setflags(write=False)
    return scan
