"""From the mask of one gland to the cube a network was trained with, and a map of that cube back onto the grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.classifiers.input import CELL, CUBE, gland_channels
from napari_radcnn.volume import Volume

#: Milliliters of the masks in the training data, all but five in a thousand at each end.
_PLAUSIBLE = (1.7, 10.4)
#: mm between voxels above which a limb of the gland falls between them; more values than labels have.
_COARSE, _MANY = 3.0, 256


def gland_plan_warnings(volume: Volume) -> tuple[str, ...]:
    """Return what speaks against the grid of a mask; looks at no voxel.

    Raises
    ------
    GeometryError
        If it is a picture, not a volume.
    """
    geometry = volume.geometry
    if min(geometry.shape) < 3:
        size = " x ".join(str(n) for n in geometry.shape)
        raise GeometryError(f"'{volume.name}' has {size} voxels: this model needs the mask of a gland in 3-D.")
    told = []
    if max(geometry.spacing) > _COARSE:
        told.append(
            f"The spacing is {max(geometry.spacing):.1f} mm: to resolve the limbs of a gland, {_COARSE:.0f} mm or "
            "less is needed."
        )
    return tuple(told)


def gland_mask(volume: Volume, label: int) -> npt.NDArray[np.bool_]:
    """Return where the gland is.

    Parameters
    ----------
    label : int
        Its value; 0 takes the only one there is.

    Raises
    ------
    ModelError
        If the volume is no mask, is empty, has no such label, or several and none was chosen.
    """
    values = volume.array
    found = _labels(values)
    if found is None:
        raise ModelError(
            f"'{volume.name}' is a scan, not a mask: this model needs the mask of one adrenal gland, such as a label "
            "map from a segmentation."
        )
    listing = ", ".join(str(value) for value in found[:12]) + (", ..." if len(found) > 12 else "")
    if not found:
        raise ModelError(f"'{volume.name}' is empty: segment the gland first.")
    if label and label not in found:
        raise ModelError(f"'{volume.name}' has no label {label}; its labels are: {listing}.")
    if not label and len(found) > 1:
        raise ModelError(f"'{volume.name}' has the labels {listing}: set the option 'label' to that of the gland.")
    return np.asarray(values == (label or found[0]))


def _labels(values: npt.NDArray) -> list[int] | None:
    """Return the values of a label map but 0; None for what is none."""
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        return None
    if values.dtype != bool and (values.min() < 0 or (values != np.round(values)).any()):
        return None
    found = np.unique(values)
    # A mask lies in nothing: an image of few gray values that fills its field is none.
    if len(found) > _MANY or 2 * np.count_nonzero(values) > values.size:
        return None
    return [int(value) for value in found if value != 0]


def prepare_gland(
    volume: Volume, label: int
) -> tuple[npt.NDArray[np.float32], Callable[[npt.NDArray], npt.NDArray[np.float32]], tuple[str, ...]]:
    """Return the channels `(2, 16, 16, 16)`, what brings a map of them onto the volume's grid, and what to tell.

    Raises
    ------
    GeometryError, ModelError
        As `cut_gland`.
    """
    cube, center, told = cut_gland(volume, label)
    return gland_channels(cube), spreading(volume.geometry, center), told


def spreading(geometry: Geometry, center: npt.NDArray[np.float64]) -> Callable[[npt.NDArray], npt.NDArray[np.float32]]:
    """Return what brings a map of the network's cells around a place (LPS mm) onto a grid."""

    def back(cells: npt.NDArray) -> npt.NDArray[np.float32]:
        return _spread(cells, geometry, center)

    return back


def cut_gland(volume: Volume, label: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64], tuple[str, ...]]:
    """Return a gland in a cube of 64 mm in voxels of 1 mm, the middle of it (LPS mm), and what to tell.

    The cube lies along the patient's axes around the center of the mask, as MedMNIST v2 cut it.

    Raises
    ------
    GeometryError
        If it is a picture, not a volume.
    ModelError
        As `gland_mask`.
    """
    gland_plan_warnings(volume)
    mask, geometry = gland_mask(volume, label), volume.geometry
    where = np.argwhere(mask)
    center = geometry.to_world(np.floor(where.mean(0)))  # the middle of an even number of voxels, as in training
    cube = _sampled(mask, geometry, where, center)
    milliliters = len(where) * geometry.voxel_volume / 1000.0
    told = []
    if not _PLAUSIBLE[0] <= milliliters <= _PLAUSIBLE[1]:
        told.append(
            f"The mask has {milliliters:.1f} ml; the model was trained with glands of {_PLAUSIBLE[0]:g} to "
            f"{_PLAUSIBLE[1]:g} ml. Check that it is the mask of one gland."
        )
    inside = cube.sum() / 1000.0
    if inside < 0.9 * milliliters:
        told.append(
            f"Only {inside / milliliters:.0%} of the mask lies in the {CUBE} mm around its center; the model ignores "
            "the rest."
        )
    if not cube.any():
        raise ModelError(f"The mask in '{volume.name}' is too thin to be resolved at 1 mm.")
    return cube, center, tuple(told)


def _sampled(
    mask: npt.NDArray[np.bool_], geometry: Geometry, where: npt.NDArray[np.int64], center: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return the mask, which is set at the indices `where`, in the cube `(z, y, x)`, its middle voxel at `center`."""
    from scipy.ndimage import map_coordinates

    cube = np.zeros((CUBE,) * 3, bool)
    corners = np.stack(np.meshgrid(*zip(where.min(0) - 1, where.max(0) + 1, strict=True)), -1).reshape(-1, 3)
    offset = (geometry.to_world(corners) - center)[:, ::-1] + CUBE // 2
    # Only where something of the mask can be: most of the cube is empty.
    low = np.clip(np.floor(offset.min(0)).astype(int), 0, CUBE)
    high = np.clip(np.ceil(offset.max(0)).astype(int) + 1, 0, CUBE)
    z, y, x = np.meshgrid(*(np.arange(a, b) - CUBE // 2 for a, b in zip(low, high, strict=True)), indexing="ij")
    index = geometry.to_index(center + np.stack([x, y, z], -1).reshape(-1, 3)).T
    taken = map_coordinates(mask.astype(np.float32), index, order=1, mode="constant")
    cube[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = taken.reshape(z.shape) >= 0.5
    return cube


def _spread(cells: npt.NDArray, geometry: Geometry, center: npt.NDArray) -> npt.NDArray[np.float32]:
    """Return a map of the cells on the volume's grid, 0 outside the cube."""
    from scipy.ndimage import map_coordinates

    corners = np.array(np.meshgrid(*[(-CUBE / 2 - 1, CUBE / 2 + 1)] * 3)).reshape(3, -1).T
    reach = geometry.to_index(center + corners)
    low = np.clip(np.floor(reach.min(0)).astype(int), 0, geometry.shape)
    high = np.clip(np.ceil(reach.max(0)).astype(int) + 1, 0, geometry.shape)
    box = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1)
    offset = geometry.to_world(box.reshape(-1, 3)) - center
    cell = (offset[:, ::-1] + CUBE // 2 + 0.5) / CELL - 0.5
    inside = ((cell >= -0.5) & (cell <= CUBE / CELL - 0.5)).all(1)
    values = np.where(inside, map_coordinates(np.asarray(cells, np.float32), cell.T, order=1, mode="nearest"), 0.0)
    spread = np.zeros(geometry.shape, np.float32)
    spread[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = values.reshape(box.shape[:3])
    return spread
