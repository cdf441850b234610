"""Read again what was just written, before it takes its name: the same grid, the same voxels, the same sides.

Mirrored and shifted exports went out for years where nobody read them back (TotalSegmentator #413 and #598, nnU-Net
#2477, OHIF #2003).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

#: How far a corner voxel or a label's centroid may lie from where it was, mm.
_TOLERANCE = 0.01
#: Formats keep float32 and integers to the last bit; what they widen or narrow (int64, float64) to this.
_RELATIVE = 1e-6


def verify_written(obj: Volume | LabelMap, temporary: Path, target: Path, read: Callable[[Path], list[Volume]]) -> None:
    """Compare a file that was just written with what it should hold.

    Parameters
    ----------
    obj : Volume or LabelMap
        What was written.
    temporary : Path
        Where it lies now.
    target : Path
        The name it is to get, for the message.
    read : callable
        Reads the file as anybody would: ``read(path) -> list[Volume]``.

    Raises
    ------
    WriteError
        If the file cannot be read, or differs in number of images, grid, voxels, or a label's count or centroid. The
        caller then removes the file.
    """
    try:
        found = read(temporary)
    except ReadError as error:
        raise _refusal(target, f"it cannot be read back ({error})") from error
    if len(found) != 1:
        raise _refusal(target, f"it contains {len(found)} images instead of one")
    (back,) = found
    if back.geometry.shape != obj.geometry.shape:
        raise _refusal(target, f"its shape is {back.geometry.shape} instead of {obj.geometry.shape}")
    distance = float(np.abs(back.geometry.corners - obj.geometry.corners).max())
    if distance > _TOLERANCE:
        raise _refusal(
            target,
            f"its voxels are up to {distance:.2f} mm off, with orientation {back.geometry.orientation} instead of "
            f"{obj.geometry.orientation}",
        )
    if isinstance(obj, LabelMap):
        _compare_labels(obj, back, target)
    elif not _same_values(np.asarray(obj.array), np.asarray(back.array)):
        raise _refusal(target, "its values differ from the intended ones")


def _compare_labels(obj: LabelMap, back: Volume, target: Path) -> None:
    wanted, found = label_places(obj.array, obj.geometry), label_places(back.array, back.geometry)
    if wanted.keys() != found.keys():
        raise _refusal(target, f"it contains the labels {sorted(found)} instead of {sorted(wanted)}")
    for label, (count, centroid) in wanted.items():
        back_count, back_centroid = found[label]
        if back_count != count:
            raise _refusal(target, f"label {label} has {back_count} voxels instead of {count}")
        distance = float(np.abs(back_centroid - centroid).max())
        if distance > _TOLERANCE:
            raise _refusal(target, f"the centroid of label {label} is {distance:.2f} mm off")


def label_places(array: npt.NDArray, geometry: Geometry) -> dict[int, tuple[int, npt.NDArray[np.float64]]]:
    """Return for each label but 0 its number of voxels and its centroid ``(x, y, z)``, LPS mm."""
    index = np.nonzero(array)
    values, inverse = np.unique(np.asarray(array[index]), return_inverse=True)
    counts = np.bincount(inverse, minlength=len(values))
    sums = [np.bincount(inverse, weights=axis, minlength=len(values)) for axis in index]
    centroids = geometry.to_world(np.stack(sums, axis=-1) / np.maximum(counts, 1)[:, None])
    return {int(v): (int(n), c) for v, n, c in zip(values, counts, centroids, strict=True)}


def _same_values(expected: npt.NDArray, actual: npt.NDArray) -> bool:
    if expected.shape != actual.shape:
        return False
    if expected.dtype.kind in "biu" and actual.dtype.kind in "biu":
        return bool(np.array_equal(expected, actual))
    # slab by slab: a whole-volume comparison of floats would take several copies of the scan
    return all(
        np.allclose(actual[k], expected[k], rtol=_RELATIVE, atol=0, equal_nan=True) for k in range(expected.shape[0])
    )


def _refusal(target: Path, cause: str) -> WriteError:
    return WriteError(
        f"{target}: the file was written and then removed, because {cause}. Write another format (.nii.gz supports "
        "every grid), and please report this."
    )
