"""What rules find of a body, those of `ct-tissues` for the lungs: what a network must do better than."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

import napari_radcnn as radcnn
from napari_radcnn.models.ct_organs.channels import at_3mm, middle_of
from napari_radcnn.models.ct_organs.network import SPACING
from napari_radcnn.models.ct_tissues.spec import LUNG
from napari_radcnn.training.ct_organs.scans import most_of

Mask = npt.NDArray[np.bool_]

#: HU of soft organs and of bone; voxels of 3 mm that are taken off before parts are told apart.
_SOFT, _BONE, _OFF = (0.0, 220.0), 200.0, 3
#: mm that vertebrae reach to either side of the body's middle.
_ASIDE = 45.0


def guess(scan: radcnn.Volume) -> dict[str, Mask]:
    """Return masks at 3 mm, by structure: each the largest part that lies where the structure usually does.

    Parameters
    ----------
    scan : Volume
        Axes towards S, P, L.
    """
    hu = ndimage.uniform_filter(at_3mm(scan.array, scan.geometry.spacing), 3)
    row, column = middle_of(hu)
    tissues = radcnn.segment(scan, "ct-tissues", {"organs": False}, anyway=True).array
    rows, columns = np.arange(hu.shape[1])[None, :, None], np.arange(hu.shape[2])[None, None, :]
    right, left, back = columns < column, columns > column, rows > row
    body = ndimage.binary_fill_holes(_largest(hu > -250))
    body = np.stack([ndimage.binary_fill_holes(each) for each in body])
    hard = (hu > _BONE) & body
    spine = hard & back & (np.abs(columns - column) * SPACING < _ASIDE)
    soft = (hu > _SOFT[0]) & (hu < _SOFT[1]) & body
    core = ndimage.binary_erosion(soft, iterations=_OFF)
    return {
        "lung": most_of((tissues == LUNG).astype(np.uint8), scan.geometry.spacing, hu.shape) > 0,
        "liver": _grown(_largest(core & right & ~_behind(spine, rows)), soft),
        "spleen": _grown(_largest(core & left & back & ~_behind(spine, rows)), soft),
        "vertebrae": spine,
        "ribs": hard & ~spine,
        "erector spinae": soft & _behind(spine, rows) & (np.abs(columns - column) * SPACING < 2 * _ASIDE),
        "heart": _grown(_largest(core & left & ~back), soft),
    }


def _behind(spine: Mask, rows: npt.NDArray[np.int_]) -> Mask:
    counts = spine.sum((1, 2))
    means = (spine.sum(2) * rows[0, :, 0]).sum(1) / np.maximum(counts, 1)
    return np.asarray((counts > 0)[:, None, None] & (rows > means[:, None, None] + 4))


def _largest(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    return np.asarray(parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1) if count else mask


def _grown(core: Mask, soft: Mask) -> Mask:
    return np.asarray(ndimage.binary_dilation(core, iterations=_OFF, mask=soft))
