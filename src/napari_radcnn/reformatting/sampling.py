"""The values of planes and slabs: multiplanar reformation.

A plane is sampled from the scan's own voxels by trilinear interpolation; nothing is resampled in between. A slab is the
maximum, minimum or mean of parallel planes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.progress import CancelEvent, checked_cancel
from napari_radcnn.reformatting.plane import Plane
from napari_radcnn.volume import Volume

#: What a slab shows of the values across it.
SlabKind = Literal["maximum", "minimum", "mean"]
_Floats = npt.NDArray[np.float64]
#: Voxels are taken for half a voxel beyond their centers; the rest is rounding.
_EDGE = 0.5 + 1e-6
#: Planes of a slab that are sampled, at most, where it need not be exact.
COARSE_DEPTHS = 6
#: Samples from which on the work is shared between threads, and how many those are at most.
_SHARED, _N_THREADS = 40_000, 8
#: Samples of a band, and its rows at most: sampled at all depths before the next ones, since neighboring planes share
#: lines of the cache.
_BAND, _BAND_ROWS = 100_000, 64


def slab_depths(geometry: Geometry, plane: Plane, thickness: float) -> _Floats:
    """Return where a slab is sampled: distances from its middle plane along the normal.

    Parameters
    ----------
    geometry : Geometry
        Of the scan.
    plane : Plane
        The middle of the slab.
    thickness : float
        mm, from 0.

    Returns
    -------
    (n,) array of float
        mm, from negative to positive, at least ``[0.0]``. One voxel of the scan apart along that axis of it which runs
        most nearly across the plane, so that no slice is left out; none farther outside of the scan than one step.

    Raises
    ------
    GeometryError
        If the thickness is negative or no number.
    """
    if not np.isfinite(thickness) or thickness < 0:
        raise GeometryError(f"The thickness of a slab is a length in mm from 0, got {thickness}.")
    step = 1.0 / float(np.abs(np.linalg.solve(geometry.affine[:3, :3], plane.normal)).max())
    # Of the edges of the outer voxels; a slab may be thicker than the scan.
    ends = geometry.to_world(np.array(list(product(*((-0.5, n - 0.5) for n in geometry.shape)))))
    reach = (ends - plane.origin) @ plane.normal
    n_half = int(thickness / 2 / step + 1e-6)
    first = max(-n_half, int(np.floor(reach.min() / step)) - 1)
    last = min(n_half, int(np.ceil(reach.max() / step)) + 1)
    steps = np.arange(first, last + 1, dtype=np.float64)
    return steps * step if len(steps) else np.zeros(1)


def sample(
    array: npt.NDArray[Any],
    geometry: Geometry,
    plane: Plane,
    *,
    thickness: float = 0.0,
    kind: SlabKind = "maximum",
    is_coarse: bool = False,
    cancel: CancelEvent | None = None,
) -> npt.NDArray[np.float32]:
    """Return the values of a plane or a slab through voxels.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3) array
        Of real numbers.
    geometry : Geometry
        Its grid, of any orientation, oblique or sheared.
    plane : Plane
        Where; of a slab the middle.
    thickness : float
        Of the slab, mm; planes are taken where `slab_depths` says. 0 is the plane alone.
    kind : str
        ``"maximum"``, ``"minimum"`` or ``"mean"`` of the slab.
    is_coarse : bool
        Whether `COARSE_DEPTHS` planes of a slab are enough, as for a picture that the next one will replace.
    cancel : CancelEvent, optional
        Stops it when set.

    Returns
    -------
    (rows, columns) or (rows, columns, 3) array of float32
        Trilinear between voxel centers, the border voxels as they are for half a voxel beyond their centers; NaN where
        none of the slab lies in the scan. What lies outside, or is NaN, counts for nothing in a slab.

    Raises
    ------
    GeometryError
        If the thickness is negative, or the kind unknown.
    CancelledError
        If `cancel` was set.
    """
    if kind not in get_args(SlabKind):
        raise GeometryError(f"A slab is one of {', '.join(get_args(SlabKind))}, got '{kind}'.")
    depths = slab_depths(geometry, plane, thickness)
    if is_coarse:
        depths = depths[:: -(-len(depths) // COARSE_DEPTHS)]
    if array.ndim == 4:
        channels = [
            sample(array[..., n], geometry, plane, thickness=thickness, kind=kind, is_coarse=is_coarse, cancel=cancel)
            for n in range(3)
        ]
        return np.stack(channels, axis=-1)
    values = _readable(array)
    band = min(max(_BAND // (len(depths) * plane.shape[1]), 1), _BAND_ROWS)

    def one(rows: slice) -> npt.NDArray[np.float32]:
        checked_cancel(cancel)
        return _slab(values, geometry, plane, rows, depths, kind)

    def part(rows: slice) -> npt.NDArray[np.float32]:
        starts = range(rows.start, rows.stop, band)
        return np.concatenate([one(slice(start, min(start + band, rows.stop))) for start in starts])

    n_rows = plane.shape[0]
    n_threads = min(os.cpu_count() or 1, _N_THREADS, n_rows)
    if n_rows * plane.shape[1] * len(depths) < _SHARED or n_threads < 2:
        return part(slice(0, n_rows))
    ends = np.linspace(0, n_rows, n_threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_threads) as pool:
        return np.concatenate(list(pool.map(part, map(slice, ends[:-1], ends[1:]))))


def sample_labels(labels: npt.NDArray[Any], geometry: Geometry, plane: Plane) -> npt.NDArray[Any]:
    """Return the labels of a plane: of each pixel that of the voxel it lies in, and 0 outside.

    Parameters
    ----------
    labels : (k, j, i) array of integer
        On the grid `geometry`.
    geometry, plane
        As of `sample`.

    Returns
    -------
    (rows, columns) array
        Of the type of `labels`.
    """
    index = _index(geometry, plane, slice(0, plane.shape[0]), 0.0)
    found = np.zeros(plane.shape, labels.dtype)
    inside = _is_inside(index, geometry.shape)
    k, j, i = (
        np.clip(np.rint(part[inside]).astype(np.intp), 0, n - 1) for part, n in zip(index, geometry.shape, strict=True)
    )
    found[inside] = labels[k, j, i]
    return found


def reformat(
    volume: Volume,
    plane: Plane,
    *,
    thickness: float = 0.0,
    kind: SlabKind = "maximum",
    n_slices: int = 1,
    distance: float | None = None,
) -> Volume:
    """Return a plane or a slab through a scan, or several side by side, as a scan of its own.

    Parameters
    ----------
    volume : Volume
        The scan; of one that is not in memory only the part is read that the planes run through.
    plane : Plane
        The first plane, or the middle of the first slab.
    thickness : float
        Of each slab, mm; 0 gives planes.
    kind : str
        ``"maximum"``, ``"minimum"`` or ``"mean"``, of slabs.
    n_slices : int
        How many, one after the other along the normal of the plane.
    distance : float, optional
        From one to the next, mm; by default the thickness, or the larger side of a pixel where that is 0.

    Returns
    -------
    Volume
        float32, in its place in the patient, with the name, units and padding value of the scan; outside of the scan
        the padding value, and NaN where it has none.

    Raises
    ------
    GeometryError
        If no plane touches the scan, or a number is out of its range.

    Examples
    --------
    >>> from napari_radcnn.phantom import head
    >>> coronal = Plane.centered((0, 0, 0), right=(1, 0, 0), down=(0, 0, -1), spacing=(2, 2), shape=(90, 80))
    >>> reformat(head(), coronal, thickness=20, kind="mean").geometry.orientation
    'PIL'
    """
    gap = thickness or max(plane.spacing) if distance is None else float(distance)
    if n_slices < 1 or not np.isfinite(gap) or gap <= 0:
        raise GeometryError(f"Slices are at least 1, at a distance above 0 mm; got {n_slices} at {gap} mm.")
    planes = [plane.moved(n * gap) for n in range(int(n_slices))]
    boxes = [_box(volume.geometry, each, slab_depths(volume.geometry, each, thickness)) for each in planes]
    touched = [box for box in boxes if box is not None]
    if not touched:
        middle = volume.geometry.to_world((np.array(volume.geometry.shape) - 1) / 2)
        raise GeometryError(
            f"The plane lies outside of the scan '{volume.name}', whose middle is at "
            f"{np.round(middle, 1).tolist()} (LPS mm)."
        )
    box = tuple(slice(min(one[n].start for one in touched), max(one[n].stop for one in touched)) for n in range(3))
    block, grid = volume.read_block((box[0], box[1], box[2])), volume.geometry.cropped(box)
    array = np.stack([sample(block, grid, each, thickness=thickness, kind=kind) for each in planes])
    padding = volume.metadata.padding_value
    if padding is not None:
        array[np.isnan(array)] = padding
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1:3], affine[:3, 3] = plane.normal * gap, plane.steps, plane.origin
    if volume.is_color:
        array = np.nan_to_num(np.rint(array)).astype(np.uint8)
    return volume.with_array(array, Geometry((len(planes), *plane.shape), affine))


def _slab(
    values: npt.NDArray[Any], geometry: Geometry, plane: Plane, rows: slice, depths: _Floats, kind: SlabKind
) -> npt.NDArray[np.float32]:
    """Return some rows of a slab."""
    from scipy import ndimage

    n_rows, n_columns = rows.stop - rows.start, plane.shape[1]
    step = depths[1] - depths[0] if len(depths) > 1 else 1.0
    to_index = np.linalg.inv(geometry.affine)[:3, :3]
    matrix = to_index @ np.column_stack([plane.normal * step, plane.steps])
    start = geometry.to_index(plane.origin + depths[0] * plane.normal) + rows.start * matrix[:, 1]
    shape = (len(depths), n_rows, n_columns)
    last = np.array(shape) - 1
    corners = start + np.array(list(product(*((0, n) for n in last)))) @ matrix.T
    ends = np.array(geometry.shape) - 1 + _EDGE
    if ((corners < -_EDGE).all(0) | (corners > ends).all(0)).any():  # all of it beyond one side of the scan
        return np.full((n_rows, n_columns), np.nan, np.float32)
    found = np.empty(shape, np.float32)
    ndimage.affine_transform(
        values, matrix, start, output_shape=shape, output=found, order=1, mode="nearest", prefilter=False
    )
    outside = _beyond(matrix, start, shape, corners, ends)
    return _across(found, kind, outside, has_none=values.dtype.kind == "f")


def _beyond(
    matrix: _Floats, start: _Floats, shape: tuple[int, int, int], corners: _Floats, ends: _Floats
) -> npt.NDArray[np.bool_] | None:
    """Return which samples of a band lie outside of the scan; None where none does.

    What lies between two points of a box lies in it: only sides that a corner lies beyond are looked at.
    """
    outside = None
    steps = np.ogrid[tuple(map(slice, shape))]
    for n, end in enumerate(ends):
        is_low, is_high = (corners[:, n] < -_EDGE).any(), (corners[:, n] > end).any()
        if is_low or is_high:
            index = start[n] + sum(part * matrix[n, m] for m, part in enumerate(steps))
            for more in ([index < -_EDGE] if is_low else []) + ([index > end] if is_high else []):
                outside = more if outside is None else np.logical_or(outside, more, out=outside)
    return outside


def _across(
    found: npt.NDArray[np.float32], kind: SlabKind, outside: npt.NDArray[np.bool_] | None, *, has_none: bool
) -> npt.NDArray[np.float32]:
    """Return the maximum, minimum or mean along the first axis, without what is outside, or is NaN if that may be."""
    if outside is not None:
        found[outside] = np.nan
    if len(found) == 1:
        return found[0]
    if kind == "mean":
        if outside is None and not has_none:
            return np.asarray(found.mean(axis=0))
        present = ~np.isnan(found)
        counts = present.sum(axis=0, dtype=np.float32)
        total = found.sum(axis=0, where=present)
        return np.divide(total, counts, out=np.full_like(total, np.nan), where=counts > 0)
    if outside is None and not has_none:
        return np.asarray((np.maximum if kind == "maximum" else np.minimum).reduce(found, axis=0))
    return np.asarray((np.fmax if kind == "maximum" else np.fmin).reduce(found, axis=0))


def _index(geometry: Geometry, plane: Plane, rows: slice, depth: float) -> list[npt.NDArray[np.float64]]:
    """Return the indices k, j, i of the pixels of some rows."""
    to_index = np.linalg.inv(geometry.affine)[:3, :3]
    start = geometry.to_index(plane.origin + depth * plane.normal)
    down, right = (to_index @ plane.steps).T
    row, column = np.arange(rows.start, rows.stop)[:, None], np.arange(plane.shape[1])[None]
    return [start[n] + row * down[n] + column * right[n] for n in range(3)]


def _is_inside(index: Sequence[npt.NDArray[np.float64]], shape: Sequence[int]) -> npt.NDArray[np.bool_]:
    inside = np.ones(index[0].shape, bool)
    for part, n in zip(index, shape, strict=True):
        inside &= (part >= -_EDGE) & (part <= n - 1 + _EDGE)
    return inside


def _readable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return voxels as SciPy can read them."""
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype == np.float16 or array.dtype == np.longdouble:
        return array.astype(np.float32)
    return array


def _box(geometry: Geometry, plane: Plane, depths: _Floats) -> Box | None:
    """Return the voxels that a slab runs through; None where there are none."""
    rows, columns = plane.shape
    corners = plane.to_world([(row, column) for row in (0, rows - 1) for column in (0, columns - 1)])
    ends = np.concatenate([corners + depth * plane.normal for depth in (depths[0], depths[-1])])
    index = geometry.to_index(ends)
    low, high = np.floor(index.min(0) - _EDGE).astype(int), np.ceil(index.max(0) + _EDGE).astype(int) + 1
    low, high = np.clip(low, 0, None), np.clip(high, None, geometry.shape)
    if (low >= high).any():
        return None
    k, j, i = (slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    return k, j, i
