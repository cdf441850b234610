"""From the small masks and the scan's own values to a class for every voxel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Shape
from napari_radcnn.models.ct_tissues import spec as labels
from napari_radcnn.models.ct_tissues.airway import find_airway
from napari_radcnn.models.ct_tissues.body import SKIN, find_body
from napari_radcnn.models.ct_tissues.bones import BONE, find_bone
from napari_radcnn.models.ct_tissues.grids import Mask, Small, Spacing, coarser, finer, rim, shrink, spread
from napari_radcnn.models.ct_tissues.lungs import AIR, find_lungs
from napari_radcnn.models.ct_tissues.muscles import MUSCLE, find_muscle
from napari_radcnn.models.ct_tissues.named import Named

#: mm: the grids that shapes are judged on: lungs, body and muscle; bone and airways.
COARSE, FINE = 3.0, 1.5
#: HU: fat lies between; above it begins what is soft.
_FAT = (-200.0, MUSCLE[0] - 1.0)
#: mm: the side of the block whose mean tells fat from soft tissue, so that noise does not.
_SMOOTH = 2.0
#: HU that an airway has at most, and marrow at least.
_LUMEN, _MARROW = -500.0, 60.0

# Bits of the coarse and of the fine grid: what is surely in (core), and the rim in which the scan's own values decide.
_BODY, _BODY_CORE, _LUNG, _LUNG_CORE, _MUSCLE = (1 << n for n in range(5))
_BONE, _BONE_CORE, _AIRWAY = (1 << n for n in range(3))


@dataclass(frozen=True, eq=False)
class Parts:
    """What was found on the small grids.

    Attributes
    ----------
    coarse, fine : (k, j, i) array of uint8
        Bits.
    coarse_factor, fine_factor : tuple of int
        Voxels of the scan that one stands for.
    """

    coarse: npt.NDArray[np.uint8]
    coarse_factor: Shape
    fine: npt.NDArray[np.uint8]
    fine_factor: Shape


@dataclass(frozen=True, eq=False)
class Organs:
    """What shapes are found by and what they are: `coarse`, `body` and `lungs` at 3 mm, the others at 1.5 mm."""

    coarse: Small
    fine: Small
    body: Mask
    bone: Mask
    airway: Mask
    lungs: Mask


def find_organs(
    hu: npt.NDArray[Any],
    spacing: Spacing,
    *,
    dense: bool = True,
    named: Named | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Organs | None:
    """Return body, bone, airway and lungs of a scan; None where there is no body.

    Parameters
    ----------
    hu : (k, j, i) array
        The scan, axes towards S, P, L.
    spacing : tuple of float
        mm along k, j, i.
    dense : bool
        Whether to look for dense lung.
    named : Named, optional
        What a network says of the scan.
    say : callable
        Told what is being looked for; may raise to stop.
    """
    say("checking the scan")
    coarse, fine = shrink(hu, spacing, COARSE), shrink(hu, spacing, FINE)
    say("detecting the body")
    body = find_body(coarse)
    if not body.any():
        return None
    inside = finer(body, coarse, fine)
    say("detecting bone")
    if named is None:
        bone = find_bone(fine, coarse, inside)
    else:
        bone = find_bone(fine, coarse, inside & ~named.bright(fine)) | (named.bone(fine) & (fine.hu > _MARROW))
    say("detecting the airways")
    airway = find_airway(fine, inside)
    say("detecting the lungs")
    small_bone, small_airway = coarser(bone, fine, coarse), coarser(airway, fine, coarse)
    lungs = find_lungs(coarse, body, small_airway, small_bone, dense=dense)
    return Organs(coarse, fine, body, bone, airway, lungs)


def find_parts(
    hu: npt.NDArray[Any],
    spacing: Spacing,
    *,
    dense: bool = True,
    named: Named | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Parts | None:
    """Return body, lungs, muscle, bone and airway of a scan; None where there is no body; see `find_organs`."""
    found = find_organs(hu, spacing, dense=dense, named=named, say=say)
    if found is None:
        return None
    say("detecting muscle")
    coarse, fine = found.coarse, found.fine
    muscle = find_muscle(coarse, found.body, found.lungs, coarser(found.bone, fine, coarse))
    if named is not None:
        muscle = (muscle & ~named.organ(coarse)) | named.muscle(coarse)
    return Parts(
        _bits(coarse, found.body, _BODY, _BODY_CORE)
        | _bits(coarse, found.lungs, _LUNG, _LUNG_CORE)
        | np.where(muscle, _MUSCLE, 0).astype(np.uint8),
        coarse.factor,
        _bits(fine, found.bone, _BONE, 0)
        | np.where(found.bone, _BONE_CORE, 0)
        | np.where(found.airway, _AIRWAY, 0).astype(np.uint8),
        fine.factor,
    )


def _bits(small: Small, mask: Mask, wide: int, core: int) -> npt.NDArray[np.uint8]:
    """Return the bits of a mask: `wide` with a rim of one voxel, `core` without one."""
    from scipy import ndimage

    near = ndimage.binary_dilation(mask, rim(small))
    sure = ndimage.binary_erosion(mask, rim(small), border_value=1) if core else mask
    return (near * np.uint8(wide)) | (sure * np.uint8(core))


def classify(
    hu: npt.NDArray[Any], spacing: Spacing, parts: Parts, slices: slice, *, body_only: bool = False
) -> npt.NDArray[np.uint8]:
    """Return the classes of some slices.

    Parameters
    ----------
    hu : (k, j, i) array
        The whole scan, axes towards S, P, L.
    spacing : tuple of float
        mm along k, j, i.
    parts : Parts
        See `find_parts`.
    slices : slice
        Which slices.
    body_only : bool
        Whether to give the whole body one class.

    Returns
    -------
    array of uint8
        Values of `napari_radcnn.models.ct_tissues.spec`.
    """
    values = hu[slices]
    shape: Shape = (values.shape[0], values.shape[1], values.shape[2])
    coarse = spread(parts.coarse, parts.coarse_factor, shape, slices.start)
    body = (coarse & _BODY_CORE > 0) | ((coarse & _BODY > 0) & (values > SKIN))
    if body_only:
        return np.where(body, np.uint8(labels.BODY), np.uint8(0))
    fine = spread(parts.fine, parts.fine_factor, shape, slices.start)
    smooth = _smooth(hu, spacing, slices)
    found = np.full(shape, labels.SOFT, np.uint8)
    found[(smooth <= MUSCLE[1]) & (coarse & _MUSCLE > 0)] = labels.MUSCLE
    found[(smooth >= _FAT[0]) & (smooth <= _FAT[1])] = labels.FAT
    airy = values < AIR
    found[airy] = labels.AIR
    found[((coarse & _LUNG > 0) & airy) | (coarse & _LUNG_CORE > 0)] = labels.LUNG
    found[(fine & _BONE_CORE > 0) | ((fine & _BONE > 0) & (values > BONE))] = labels.BONE
    found[(fine & _AIRWAY > 0) & (values < _LUMEN)] = labels.AIRWAY
    found[~body] = 0
    return found


def _smooth(hu: npt.NDArray[Any], spacing: Spacing, slices: slice) -> npt.NDArray[np.float32]:
    """Return means over blocks of about 2 mm around each voxel of some slices."""
    from scipy import ndimage

    size = [max(1, 2 * int(_SMOOTH / step / 2) + 1) if step < _SMOOTH else 1 for step in spacing]
    reach = size[0] // 2
    first, last = max(0, slices.start - reach), min(hu.shape[0], slices.stop + reach)
    values = hu[first:last].astype(np.float32)
    found = ndimage.uniform_filter(values, size, mode="nearest") if max(size) > 1 else values
    return np.asarray(found[slices.start - first : slices.stop - first])
