"""The body in a CT: lungs, bone and outline, and which regions of it are in the picture, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.suitability.sample import Sample

Mask = npt.NDArray[np.bool_]
Region = Literal["head", "neck", "chest", "abdomen", "pelvis", "limb"]

#: HU: outside of the body, lung, bone, and bone that is dense.
_OUTSIDE, _LUNG, _BONE, _DENSE = -400.0, (-980.0, -550.0), 220.0, 300.0
#: Liters of lung from which it is a chest for sure, and up to which there is none: gas of the bowel is less.
_CHEST_LITERS, _NO_LUNG_LITERS = 0.6, 0.12
#: The share of a slice's body that is lung in a chest.
_LUNG_SHARE = 0.08
#: cm2 of a trunk's slice, at least, and mm of its width.
_TRUNK_AREA, _TRUNK_WIDTH = 280.0, 220.0


@dataclass(frozen=True)
class Body:
    """What a CT shows of a body.

    Attributes
    ----------
    regions : tuple of str
        From feet to head, as far as they are plain.
    lung_liters : float
        Lung with air in it.
    lung_cut : tuple of bool
        Whether lung is cut off at the lower and at the upper end of the scan.
    faces : tuple of float
        The share of the scan's faces that body touches, the greatest of both: towards S or I, P or A, L or R.
    spine_behind : float
        The share of the bone near the middle plane that lies in the rear half of the body.
    enhanced : bool
        Whether there is much that is as bright as blood with contrast medium and lies in large pieces.
    """

    regions: tuple[Region, ...]
    lung_liters: float
    lung_cut: tuple[bool, bool]
    faces: tuple[float, float, float]
    spine_behind: float
    enhanced: bool


def find_body(sample: Sample, offset: float = 0.0) -> Body | None:
    """Return what a CT shows; None where no body is found.

    Parameters
    ----------
    sample : Sample
        Its values.
    offset : float
        What makes them Hounsfield units.
    """
    from scipy import ndimage

    values, spacing = sample.small
    hu = values + np.float32(offset)
    voxel_liters = float(np.prod(spacing)) / 1e6
    flesh = ndimage.binary_opening(hu > _OUTSIDE, np.ones((1, 3, 3)))
    body = _largest(flesh)
    if body is None or body.sum() * voxel_liters < 0.05:
        return None
    filled = np.stack([ndimage.binary_fill_holes(one) for one in body])
    lung = _lungs(hu, filled, voxel_liters)
    bone = body & (hu > _BONE)
    per_slice = lung.sum((1, 2)) * spacing[1] * spacing[2] / 100
    ends = max(1, round(8 / spacing[0]))
    cut = [float(part.max()) > 0.2 * max(1.0, float(per_slice.max())) for part in (per_slice[:ends], per_slice[-ends:])]
    whole = filled | lung
    faces = [max(float(np.take(whole, 0, axis).mean()), float(np.take(whole, -1, axis).mean())) for axis in range(3)]
    return Body(
        _regions(whole, lung, bone, spacing),
        float(lung.sum()) * voxel_liters,
        (cut[0], cut[1]),
        (faces[0], faces[1], faces[2]),
        _spine_behind(whole, body, hu),
        _is_enhanced(hu, body, voxel_liters),
    )


def _largest(mask: Mask) -> Mask | None:
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if not count:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _lungs(hu: npt.NDArray, filled: Mask, voxel_liters: float) -> Mask:
    """Return what has the density of lung within the body, in pieces of at least some milliliters."""
    from scipy import ndimage

    inside = ndimage.binary_erosion(filled, np.ones((1, 3, 3))) & (hu > _LUNG[0]) & (hu < _LUNG[1])
    parts, _ = ndimage.label(inside)
    sizes = np.bincount(parts.ravel()) * voxel_liters
    sizes[0] = 0
    return np.asarray((sizes > 0.03)[parts])


def _spine_behind(whole: Mask, body: Mask, hu: npt.NDArray) -> float:
    """Return the share of bone in the rear half; below half only where it is so with and without the largest pieces.

    They are the heart and great vessels with contrast medium, or a dense spine.
    """
    some, every = _behind(whole, body & (hu > _BONE) & ~_blood(hu, body)), _behind(whole, body & (hu > _DENSE))
    return some if every < 0.5 else max(some, every)


def _behind(body: Mask, bone: Mask) -> float:
    """Return the share of the bone near the middle plane that lies in the rear half of the body, 0.5 without any."""
    columns = np.flatnonzero(body.any((0, 1)))
    middle, reach = (columns[0] + columns[-1]) // 2, max(1, (columns[-1] - columns[0]) // 10)
    central = slice(middle - reach, middle + reach + 1)
    rows = np.flatnonzero(body[:, :, central].any((0, 2)))
    if not bone[:, :, central].any():
        return 0.5
    behind = np.nonzero(bone[:, :, central])[1] > (rows[0] + rows[-1]) / 2
    return float(behind.mean())


def _blood(hu: npt.NDArray, body: Mask) -> Mask:
    """Return what is bright in pieces larger than bones are: the heart and great vessels with contrast medium."""
    from scipy import ndimage

    pieces = ndimage.binary_opening(body & (hu > 150), iterations=3)
    return np.asarray(ndimage.binary_dilation(pieces, iterations=2))


def _is_enhanced(hu: npt.NDArray, body: Mask, voxel_liters: float) -> bool:
    from scipy import ndimage

    bright = ndimage.binary_opening(body & (hu > 200) & (hu < 600), iterations=2)
    return bool(bright.sum() * voxel_liters > 0.03)


def _regions(body: Mask, lung: Mask, bone: Mask, spacing: tuple[float, float, float]) -> tuple[Region, ...]:
    """Return the regions that at least 25 mm, or half of the scan, plainly show, from feet to head."""
    named = [_region_of(body[k], lung[k], bone[k], spacing) for k in range(len(body))]
    least = min(25.0, 0.5 * len(named) * spacing[0])
    found: list[Region] = []
    for region in ("limb", "pelvis", "abdomen", "chest", "neck", "head"):
        if named.count(region) * spacing[0] >= least:
            found.append(region)  # type: ignore[arg-type]
    return tuple(found)


def _region_of(body: Mask, lung: Mask, bone: Mask, spacing: tuple[float, float, float]) -> Region | None:
    from scipy import ndimage

    pixel = spacing[1] * spacing[2] / 100
    area, air = float(body.sum()) * pixel, float(lung.sum()) * pixel
    if area < 10:
        return None
    if air > _LUNG_SHARE * area and air > 12:
        return "chest"
    columns = np.flatnonzero(body.any(0))
    width = float(columns[-1] - columns[0] + 1) * spacing[2]
    closed = ndimage.binary_closing(np.pad(bone, 3), iterations=2)[3:-3, 3:-3]
    within = float((ndimage.binary_fill_holes(closed) & ~closed).sum()) * pixel
    if within > 0.4 * area and 60 < area < 400:
        return "head"
    if area < 200 and width < _TRUNK_WIDTH:
        return None  # a neck, or a limb: they are not told apart
    if area > _TRUNK_AREA and width > _TRUNK_WIDTH:
        wide = np.flatnonzero(bone.any(0))
        is_wide = wide.size > 0 and (wide[-1] - wide[0]) * spacing[2] > 0.55 * width and bone.sum() * pixel > 45
        return "pelvis" if is_wide and air == 0 else "abdomen"
    return None
