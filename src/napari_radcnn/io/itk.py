"""What the formats of the ITK family share: index order, how a volume is made, and writing with SimpleITK.

ITK's world is LPS like ours, but its index runs ``(i, j, k)``; `reversed_index` is the one place that turns it.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ReadError, WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.atomic import atomic_path, check_target, sync, write_error
from napari_radcnn.io.guard import verify_written
from napari_radcnn.io.problems import stem_of
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Rows of the direction matrix may be off a right angle by this before ITK-family writers lose it.
_SHEAR_TOLERANCE = 1e-6


def reversed_index(steps: npt.ArrayLike, origin: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the ``(k, j, i)`` affine of ITK's ``(i, j, k)`` steps.

    Parameters
    ----------
    steps : (3, 3) array
        Columns are the world steps of i, j, k: direction times spacing, LPS mm.
    origin : (3,) array
        World position of voxel 0, LPS mm.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(steps, float)[:, ::-1]
    affine[:3, 3] = np.asarray(origin, float)
    return affine


def make_volumes(
    images: Sequence[npt.NDArray],
    steps: npt.ArrayLike,
    origin: npt.ArrayLike,
    path: Path,
    source_format: str,
    warnings: Sequence[str],
    *,
    is_label: bool = False,
    is_calibrated: bool = True,
) -> list[Volume]:
    """Return a volume for each ``(k, j, i)`` image.

    Raises
    ------
    ReadError
        If the directions make no grid.
    """
    shape = images[0].shape
    try:
        geometry = Geometry((shape[0], shape[1], shape[2]), reversed_index(steps, origin))
    except GeometryError as error:
        raise ReadError(f"{path.name}: the directions in the header make no grid: {error}") from error
    name = stem_of(path)
    return [
        Volume(
            image,
            geometry,
            VolumeMetadata(
                name=name if len(images) == 1 else f"{name} · {n + 1}",
                is_label=is_label,
                is_calibrated=is_calibrated,
                source=path,
                source_format=source_format,
            ),
            tuple(warnings),
        )
        for n, image in enumerate(images)
    ]


def completed_steps(columns: npt.NDArray, warnings: list[str]) -> npt.NDArray[np.float64]:
    """Return three world steps for an image that has one or two axes: the missing ones at right angles, 1 mm."""
    if columns.shape[1] == 3:
        return columns
    if columns.shape[1] == 2:
        normal = np.cross(columns[:, 0], columns[:, 1])
    else:
        normal = np.cross(columns[:, 0], np.eye(3)[int(np.argmin(np.abs(columns[:, 0])))])
    length = float(np.linalg.norm(normal))
    if not length > 0:
        return np.column_stack([columns, np.zeros(3)])  # singular; said so where the geometry is made
    warnings.append("The image has no slice spacing: it is shown as one slice of 1 mm.")
    return completed_steps(np.column_stack([columns, normal / length]), [])


def write_itk(obj: Volume | LabelMap, path: Path, overwrite: bool = False) -> None:
    """Write NRRD or MetaImage, by the suffix, with SimpleITK.

    Raises
    ------
    WriteError
        If the file cannot be written, or the format cannot hold a sheared grid or the type of the values.
    """
    import SimpleITK

    direction = obj.geometry.direction
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise WriteError(
            f"{path}: the grid is sheared (such as by gantry tilt), which this format and its readers do not hold "
            "rightly; write .nii.gz instead."
        )
    array = np.ascontiguousarray(obj.array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    try:
        image = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 4)
    except (TypeError, KeyError) as error:
        raise WriteError(f"{path}: values of type {array.dtype} cannot be written in this format.") from error
    image.SetSpacing(obj.geometry.spacing[::-1])
    image.SetOrigin(obj.geometry.origin)
    image.SetDirection(direction[:, ::-1].ravel().tolist())
    if path.suffix.lower() == ".mhd":
        _write_pair(image, obj, path, overwrite)
        return
    with atomic_path(path, overwrite) as temporary:
        _write(image, obj, temporary, path)


def _write(image: object, obj: Volume | LabelMap, temporary: Path, target: Path) -> None:
    """Write `image`, made from `obj`, and read it again."""
    import SimpleITK

    from napari_radcnn.io.metaimage import read_metaimage  # both modules use this one to read
    from napari_radcnn.io.nrrd import read_nrrd

    try:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise WriteError(f"{target}: SimpleITK could not write the file (is the disk full?).") from error
    reader = read_nrrd if temporary.suffix.lower() == ".nrrd" else read_metaimage
    verify_written(obj, temporary, target, lambda path: reader(path, None, None))


def _write_pair(image: object, obj: Volume | LabelMap, path: Path, overwrite: bool) -> None:
    """Write header and voxels: the voxels get their name first, so that the header never stands alone."""
    check_target(path, overwrite)
    made = path.with_name(f".radcnn-{secrets.token_hex(4)}.mhd")
    data_made = made.with_suffix(".zraw")
    data = path.with_suffix(".zraw")
    check_target(data, overwrite)
    try:
        _write(image, obj, made, path)
        header = re.sub(r"ElementDataFile = .*", lambda _: f"ElementDataFile = {data.name}", made.read_text("utf-8"))
        made.write_text(header, encoding="utf-8")
        sync(made)
        sync(data_made)
        data_made.replace(data)
        made.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        for leftover in (made, data_made):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
