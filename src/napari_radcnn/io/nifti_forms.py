"""Where the voxels of a NIfTI file lie: its two forms, as nifti1.h means them and its readers take them.

Headers round, leave out and negate what nifti1.h asks for. What NIfTI's own library, ITK and nibabel agree on is done,
with a word; what they do not agree on leaves the form out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interop import flipped_world
from napari_radcnn.io.problems import NO_ORIENTATION

#: Bits 0 to 2 of ``xyzt_units`` (nifti1.h): mm per unit.
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
#: Corners of the two forms may differ by this much (mm) before the user is told.
_FORM_TOLERANCE_MM = 0.1
#: The squared length of a quaternion may exceed 1 by this, from two decimals; above a millionth it is said.
_TOO_LONG, _ROUNDING = 0.02, 1e-6
#: Below this what is left for the fourth number is none: half a turn, as in NIfTI's library.
_HALF_TURN = 1e-7


def geometry_of(header: Any, shape: tuple[int, int, int], path: Any) -> tuple[Geometry, list[str]]:
    """Choose the form, convert its units, and turn it to LPS.

    Parameters
    ----------
    header : nibabel.Nifti1Header
        Not checked by nibabel.
    shape : (int, int, int)
        Voxels along ``(i, j, k)``.
    path : Path
        What errors call the file.

    Returns
    -------
    geometry : Geometry
    warnings : list of str

    Raises
    ------
    ReadError
        If the header has no usable voxel size.
    """
    grid = shape[2], shape[1], shape[0]
    scale = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7)
    warnings = []
    if scale is None:
        warnings.append(f"Unknown unit of length (xyzt_units {int(header['xyzt_units'])}): millimeters are assumed.")
        scale = 1.0
    forms = _forms(header, grid, scale, warnings)
    if "sform" in forms and "qform" in forms:
        apart = float(np.linalg.norm(forms["sform"].corners - forms["qform"].corners, axis=1).max())
        if apart > _FORM_TOLERANCE_MM:
            warnings.append(f"sform and qform of the header disagree by up to {apart:.1f} mm; the sform was used.")
    for form in ("sform", "qform"):
        if form in forms:
            return forms[form], warnings
    sizes = _voxel_sizes(header, grid, warnings)
    if not all(math.isfinite(z) and z > 0 for z in sizes):
        raise ReadError(f"{path.name}: no usable affine: pixdim {sizes} has no positive voxel size.")
    spacing = sizes[2] * scale, sizes[1] * scale, sizes[0] * scale
    warnings.append(
        f"{NO_ORIENTATION} (neither sform nor qform is usable): directions and position in the patient are "
        "guesses, left and right may be swapped."
    )
    # method 1 of nifti1.h: the axes of a file without forms are taken as running to R, A, S
    return Geometry.from_parts(grid, spacing, direction=np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]])), warnings


def _forms(header: Any, grid: tuple[int, int, int], scale: float, warnings: list[str]) -> dict[str, Geometry]:
    forms = {}
    for form, affine_of in (("sform", _sform), ("qform", _qform)):
        if int(header[f"{form}_code"]) <= 0:
            continue
        said: list[str] = []
        try:
            affine = np.diag([scale, scale, scale, 1.0]) @ affine_of(header, grid, said)
            forms[form] = Geometry(grid, flipped_world(affine))
        except (GeometryError, ValueError) as error:
            warnings.append(f"The {form} of the header is not a usable affine and was ignored: {error}")
        else:
            warnings += said if form == "sform" or "sform" not in forms else []
    return forms


def _sform(header: Any, grid: tuple[int, int, int], said: list[str]) -> npt.NDArray[np.float64]:
    affine = np.asarray(header.get_sform(), float)
    third = affine[:3, 2]
    if grid[0] == 1 and not third.any() and np.isfinite(affine).all():  # a single slice without thickness
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        length = float(np.linalg.norm(normal))
        if length > 0:
            affine[:3, 2] = normal / length * _voxel_sizes(header, grid, said)[2]
    return affine


def _qform(header: Any, grid: tuple[int, int, int], said: list[str]) -> npt.NDArray[np.float64]:
    """Return the affine of the quaternion (nifti1.h, method 2).

    Raises
    ------
    ValueError
        With what is wrong.
    """
    sizes = np.array(_voxel_sizes(header, grid, said))
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError(f"pixdim {sizes.tolist()} has no positive voxel size.")
    qfac = float(header["pixdim"][0])
    if qfac not in (-1.0, 1.0):
        said.append(f"pixdim[0] of the header, which says whether the image is mirrored, is {qfac:g}: ")
        said[-1] += "-1 was used." if qfac < 0 else "1 was used, as in all readers of NIfTI."
    affine = np.eye(4)
    affine[:3, :3] = _rotation(header, said) * sizes
    affine[:3, 2] *= -1.0 if qfac < 0 else 1.0
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _rotation(header: Any, said: list[str]) -> npt.NDArray[np.float64]:
    b, c, d = (float(header[f"quatern_{axis}"]) for axis in "bcd")
    squared = b * b + c * c + d * d
    if not squared <= 1 + _TOO_LONG:
        raise ValueError(f"the quaternion ({b:g}, {c:g}, {d:g}) is longer than 1.")
    if squared > 1 + _ROUNDING:
        said.append(
            f"The quaternion of the qform is {math.sqrt(squared):.6f} long instead of 1 (rounded): it was scaled, as "
            "NIfTI's library and ITK do."
        )
    if 1 - squared < _HALF_TURN:
        a, length = 0.0, math.sqrt(squared)
        b, c, d = b / length, c / length, d / length
    else:
        a = math.sqrt(1 - squared)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _voxel_sizes(header: Any, grid: tuple[int, int, int], said: list[str]) -> list[float]:
    """Return the sizes along ``(i, j, k)``: negative ones made positive, those of single slices 1 where they are 0."""
    given = [float(size) for size in header["pixdim"][1:4]]
    if any(size < 0 for size in given):
        said.append(f"pixdim {given} of the header is negative: the sizes were taken, not the sign, as nibabel does.")
    sizes = [abs(size) for size in given]
    for axis, count in enumerate(reversed(grid)):
        if count == 1 and sizes[axis] == 0:
            said.append(f"pixdim[{axis + 1}] of the header is 0 for a single slice: a thickness of 1 mm was assumed.")
            sizes[axis] = 1.0
    return sizes
