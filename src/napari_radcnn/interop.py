"""Voxels and their grid as the images of nibabel and SimpleITK and the tensors of PyTorch, and back.

Each of these has a world or an order of axes of its own. `flipped_world` is the one place where NIfTI's RAS becomes
LPS, and `reversed_index` the one where ITK's ``(i, j, k)`` becomes ``(k, j, i)``: reading and writing files use them,
too. What comes from elsewhere is copied; what goes there may share the memory of the voxels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.geometry import Geometry

#: Rows of the direction matrix may be off a right angle by this before the programs of the ITK family lose it.
_SHEAR_TOLERANCE = 1e-6
#: The longest axis that NIfTI-1 can state.
_NIFTI1_AXIS = 32767
#: nibabel's names of the units of length: mm per unit.
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
#: NIfTI's code of an image of labels (nifti1.h, NIFTI_INTENT_LABEL).
_LABEL_INTENT = 1002

# -- worlds and orders ------------------------------------------------------------------------------------------------


def flipped_world(affine: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Turn a RAS ``(i, j, k)`` affine into an LPS ``(k, j, i)`` one, or back: the function is its own inverse.

    Parameters
    ----------
    affine : (4, 4) array
        From index to world, mm.
    """
    flipped = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, float)
    return flipped[:, [2, 1, 0, 3]]


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


# -- nibabel ----------------------------------------------------------------------------------------------------------


def to_nibabel(array: npt.NDArray[Any], geometry: Geometry, *, is_label: bool = False) -> Any:
    """Return voxels as a NIfTI-1 image (NIfTI-2 where an axis is too long for it), both forms in scanner space.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3) array
        Colors must be of 8 bits. Boolean values become uint8, float16 becomes float32: NIfTI has neither.
    geometry : Geometry
        Its grid.
    is_label : bool
        Whether the header says that the values are labels.

    Returns
    -------
    nibabel.Nifti1Image or nibabel.Nifti2Image
        With axes ``(i, j, k)`` and an affine to RAS mm.

    Raises
    ------
    WriteError
        If NIfTI has no place for the type of the values.
    """
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    stored = _common_type(array)
    stored = _as_rgb(stored) if stored.ndim == 4 else stored.transpose(2, 1, 0)
    kind = nibabel.Nifti2Image if max(stored.shape) > _NIFTI1_AXIS else nibabel.Nifti1Image
    affine = flipped_world(geometry.affine)
    try:
        image = kind(stored, affine, dtype=stored.dtype)
    except (ValueError, HeaderDataError) as error:
        raise WriteError(f"NIfTI cannot store values of type {stored.dtype}: {error}.") from error
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, 0)
    # a qform cannot hold shear: the sform is then the only true one (nifti1.h, method 2 and 3)
    image.set_qform(affine, code=0 if geometry.is_sheared else 1, strip_shears=True)
    image.set_sform(affine, code=1)
    if is_label:
        image.header.set_intent("label")
    return image


def from_nibabel(image: Any) -> tuple[npt.NDArray[Any], Geometry, bool]:
    """Return voxels and grid of an image of nibabel, and whether its header says that they are labels.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        Of up to three axes; further ones must have length 1. Values are scaled as its header says; an affine in
        meters or micrometers becomes one in mm.

    Raises
    ------
    ReadError
        If it has more axes than three, or complex values.
    GeometryError
        If its affine makes no grid.
    """
    stored = np.array(np.asanyarray(image.dataobj))
    spatial = (*stored.shape, 1, 1, 1)[:3]
    if any(n != 1 for n in stored.shape[3:]):
        raise ReadError(
            f"The image has the shape {stored.shape}: a volume has three axes; select one, for example with "
            "`image.slicer[..., 0]`."
        )
    if stored.dtype.kind == "c":
        raise ReadError(f"The image has complex values ({stored.dtype}): convert them, for example with `numpy.abs`.")
    if stored.dtype.names is not None:
        stored = np.stack([stored[name] for name in stored.dtype.names[:3]], axis=-1).reshape(*spatial, 3)
        array = stored.transpose(2, 1, 0, 3)
    else:
        array = stored.reshape(spatial).transpose(2, 1, 0)
    affine = np.array(image.affine, float)
    units = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    affine[:3] *= _MM_PER_UNIT.get(units, 1.0)
    is_label = hasattr(image.header, "get_intent") and int(image.header["intent_code"]) == _LABEL_INTENT
    return _native(array), Geometry(spatial[::-1], flipped_world(affine)), is_label


def _as_rgb(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return colors as the structured values that NIfTI knows, with axes ``(i, j, k)``."""
    if array.dtype != np.uint8:
        raise WriteError(f"only 8-bit colors can be written, got {array.dtype}.")
    rgb = np.ascontiguousarray(array.transpose(2, 1, 0, 3))
    return rgb.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]


# -- SimpleITK --------------------------------------------------------------------------------------------------------


def to_simpleitk(array: npt.NDArray[Any], geometry: Geometry) -> Any:
    """Return voxels as an image of SimpleITK, whose world is LPS as well.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3) array
        Boolean values become uint8, float16 becomes float32: ITK has neither.
    geometry : Geometry
        Its grid.

    Returns
    -------
    SimpleITK.Image
        With indices ``(i, j, k)``.

    Raises
    ------
    WriteError
        If the grid is sheared, or ITK has no such type of values.
    """
    import SimpleITK

    direction = geometry.direction
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise WriteError(
            "the grid is sheared (for example by gantry tilt), which ITK and its formats cannot represent; write "
            ".nii.gz instead."
        )
    stored = np.ascontiguousarray(_common_type(_native(array)))
    try:
        image = SimpleITK.GetImageFromArray(stored, isVector=stored.ndim == 4)
    except (TypeError, KeyError) as error:
        raise WriteError(f"values of type {stored.dtype} cannot be written in this format.") from error
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(direction[:, ::-1].ravel().tolist())
    return image


def from_simpleitk(image: Any) -> tuple[npt.NDArray[Any], Geometry]:
    """Return voxels and grid of an image of SimpleITK.

    Parameters
    ----------
    image : SimpleITK.Image
        Of three axes, with one value a voxel, or red, green, blue of 8 bits.

    Raises
    ------
    ReadError
        If it has other axes, complex values, or vectors that are no colors.
    """
    import SimpleITK

    if image.GetDimension() != 3:
        raise ReadError(
            f"The image has {image.GetDimension()} axes: a volume has three axes; use `SimpleITK.JoinSeries` to join "
            "slices."
        )
    array = SimpleITK.GetArrayFromImage(image)
    if array.dtype.kind == "c":
        raise ReadError(f"The image has complex values ({array.dtype}): convert them, for example with `numpy.abs`.")
    if array.ndim == 4 and (array.shape[3] != 3 or array.dtype != np.uint8):
        raise ReadError(
            f"The image has {array.shape[3]} values of type {array.dtype} in each voxel; only colors of three 8-bit "
            "values are supported: select one component with `SimpleITK.VectorIndexSelectionCast`."
        )
    steps = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    k, j, i = array.shape[:3]
    return array, Geometry((k, j, i), reversed_index(steps, image.GetOrigin()))


# -- PyTorch ----------------------------------------------------------------------------------------------------------


def to_torch(array: npt.NDArray[Any]) -> Any:
    """Return voxels as a tensor on the CPU, with the same axes and values.

    Raises
    ------
    WriteError
        If PyTorch has no such type of values.
    """
    import torch

    try:
        return torch.from_numpy(_native(np.ascontiguousarray(array)))
    except TypeError as error:
        raise WriteError(
            f"values of type {array.dtype} cannot be converted to a tensor: convert them to another type first."
        ) from error


def from_torch(tensor: Any) -> npt.NDArray[Any]:
    """Return the values of a tensor, from whatever device; bfloat16, which NumPy lacks, becomes float32."""
    import torch

    plain = tensor.detach().cpu()
    return np.array((plain.float() if plain.dtype is torch.bfloat16 else plain).numpy())


def _common_type(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values of a type that file formats have, too."""
    wider = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}.get(array.dtype)
    return array if wider is None else array.astype(wider)


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values in this computer's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
