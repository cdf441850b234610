"""A map of the brain's structures by a network that others trained, to learn from: a teacher that never ships.

The networks are MeshNets of neuroneural/brainchop (MIT); see `napari_radcnn.training.meshnet`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.preprocessing import resample
from napari_radcnn.training.meshnet import MeshNet
from napari_radcnn.volume import Volume

#: The order of axes that the teacher was taught in: x to the left, y to the feet, z to the face. It answers nothing
#: at all in another one.
_ORIENTATION = "LIA"
#: Pieces of a structure with fewer voxels are left out.
_SMALLEST = 60


def map_brain(volume: Volume, folder: Path, threads: int = 1) -> npt.NDArray[np.uint16]:
    """Return a map of the brain's structures on a scan's grid, each connected piece with a number of its own.

    Parameters
    ----------
    volume : Volume
        A T1-weighted scan of a head.
    folder : Path
        Of the teacher: ``model.json`` and its binary.
    threads : int
        Of torch.

    Raises
    ------
    ModelError
        If the files are not those of such a network.
    """
    conformed = _conformed(volume.geometry)
    image = resample(np.asarray(volume.array, np.float32), volume.geometry, conformed, interpolation="linear")
    low, high = np.percentile(image, (2, 98))
    shown = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    labels = MeshNet(folder, threads).logits(shown).argmax(0).astype(np.uint8)
    labels = resample(labels, conformed, volume.geometry, interpolation="nearest")
    return _pieces(labels)


def _conformed(geometry: Geometry) -> Geometry:
    """Return a grid of 1 mm over the same field with the axes in the teacher's order."""
    upright = geometry.axis_aligned().with_spacing((1.0, 1.0, 1.0))
    return upright.reoriented(upright.axis_map(_ORIENTATION))


def _pieces(labels: npt.NDArray) -> npt.NDArray[np.uint16]:
    """Return every connected piece of every structure under a number of its own, from 1 on."""
    found = np.zeros(labels.shape, np.uint16)
    top = 0
    for value in np.unique(labels[labels > 0]):
        pieces, count = ndimage.label(labels == value)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        for piece in np.flatnonzero(sizes[1:] >= _SMALLEST) + 1:
            top += 1
            found[pieces == piece] = top
    return found
