"""The lungs: by their air, and where they are dense, by the rib cage and the air below and beside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_tissues.grids import Mask, Small, Spacing, erode, grow, hulls, in_slices, parts_at_edge

#: HU below which there is air in a voxel, and the range of aerated lung as against air alone.
AIR, PARENCHYMA = -400.0, (-930.0, -500.0)
#: ml: the smallest part of a lung; the fraction of lung-like voxels it has, less where it is large (emphysema).
_PART_ML, _LIKE, _LARGE_ML, _LARGE_LIKE = 25.0, 0.3, 500.0, 0.1
#: mm: vessels and small densities within this of air on all sides are lung.
_CLOSE = 10.0
#: mm: how near to lung, or to its mirror image, bones of the rib cage lie; how thick the wall of the chest is.
_CAGE, _WALL = 35.0, 9.0
#: HU of dense lung and of fluid around it.
_DENSE = (-400.0, 110.0)
#: mm from the middle: behind, dense lung begins beside spine and aorta; further in front it must be well aside.
_BESIDE, _ASIDE = 32.0, 60.0
#: The fraction of the rib cage, from behind, that is behind the heart.
_BEHIND = 0.45
#: mm: how far the other lung must reach below a place that is above the diaphragm.
_DOME = 30.0
#: The part of a slice of the rib cage that holds air from which it lies above the diaphragm.
_AIRY_SLICE = 0.35
#: A lung with less air than this part of the other's is dense altogether.
_WHITE = 0.25
#: ml: the smallest dense part; mm: what is thinner is wall or vessel.
_DENSE_ML, _THIN = 12.0, 4.0


def find_lungs(small: Small, body: Mask, airway: Mask, bone: Mask, *, dense: bool) -> Mask:
    """Return the lungs with their vessels.

    Parameters
    ----------
    small : Small
        The scan at about 3 mm.
    body, airway, bone : (k, j, i) array of bool
        On that grid.
    dense : bool
        Whether to look for consolidation and fluid.
    """
    aerated = _aerated(small, body & ~airway)
    if not aerated.any():
        return aerated
    found = _closed(aerated, small.spacing) & body & ~bone & ~airway & ((small.hu < AIR) == aerated)
    if dense:
        found |= _dense(small, aerated, body & ~bone & ~airway, bone)
    return _filled(found, small) & body & ~airway


def _aerated(small: Small, inside: Mask) -> Mask:
    """Return parts of air that are lung: their inner voxels hold tissue, where those of bowel gas hold air alone."""
    from scipy import ndimage

    air = (small.hu < AIR) & inside
    parts, count = ndimage.label(air)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    core = ndimage.binary_erosion(air, np.ones((1, 3, 3), bool), border_value=1)
    like = core & (small.hu > PARENCHYMA[0]) & (small.hu < PARENCHYMA[1])
    fraction = np.bincount(parts[like], minlength=count + 1) / np.maximum(
        np.bincount(parts[core], minlength=count + 1), 1
    )
    volume = sizes * small.voxel_ml
    lung = (volume >= _PART_ML) & (fraction >= np.where(volume >= _LARGE_ML, _LARGE_LIKE, _LIKE))
    lung[0] = False
    return np.asarray(lung[parts])


def _closed(mask: Mask, spacing: Spacing) -> Mask:
    """Return a mask closed by a ball, as if it went on beyond the image's edge."""
    return erode(grow(mask, _CLOSE, spacing), _CLOSE, spacing) | mask


def _filled(mask: Mask, small: Small) -> Mask:
    """Return a mask with the holes of each slice that are no larger than a large nodule."""
    parts, count = in_slices(~mask)
    area = np.bincount(parts.ravel(), minlength=count + 1) * small.pixel_mm2
    inner = ~parts_at_edge(parts, count) & (area <= 1000.0)
    inner[0] = False
    return np.asarray(mask | inner[parts])


def _dense(small: Small, aerated: Mask, flesh: Mask, bone: Mask) -> Mask:
    """Return lung without air: flesh inside the rib cage, where the place says that it cannot be another organ."""
    from scipy import ndimage

    middle = _middle(aerated, bone)
    twin = _mirrored(aerated, middle)
    cage = hulls(bone & grow(aerated | twin, _CAGE, small.spacing) | aerated)
    fits = flesh & (small.hu > _DENSE[0]) & (small.hu < _DENSE[1])
    place = _dense_places(small, aerated, twin, cage, middle)
    candidate = erode(erode(cage, _WALL, small.spacing) & fits & place, _THIN, small.spacing)
    parts, count = ndimage.label(candidate)
    large = np.bincount(parts.ravel(), minlength=count + 1) * small.voxel_ml >= _DENSE_ML
    large[0] = False
    return np.asarray(grow(large[parts], _THIN + max(small.spacing[1:]), small.spacing) & cage & fits)


def _dense_places(small: Small, aerated: Mask, twin: Mask, cage: Mask, middle: float) -> Mask:
    """Return where flesh in the rib cage is lung, by the air around it and in the other lung (`twin`, mirrored).

    Away from the mediastinum, which is wider in front than behind, flesh is lung

    * above air of the same lung: liver and spleen have none below them;
    * behind, where the other lung reaches further down by more than the difference of the two domes;
    * behind, between air in front and the chest wall, in a slice that is mostly air: fluid lies so;
    * where the other lung is, if this one has next to no air.
    """
    columns = np.arange(aerated.shape[2])
    aside = np.abs(columns - middle) * small.spacing[2]
    behind = _behind(cage) & (aside >= _BESIDE)
    beside = behind | (aside >= _ASIDE)
    above = np.logical_or.accumulate(aerated, axis=0)  # slices run upwards
    twin_below = _raised(np.logical_or.accumulate(twin, axis=0), round(_DOME / small.spacing[0]))
    air_in_front = np.logical_or.accumulate(aerated, axis=1)  # rows run to the back
    air_behind = np.logical_or.accumulate(aerated[:, ::-1], axis=1)[:, ::-1]
    airy = (aerated & cage).sum((1, 2)) >= _AIRY_SLICE * np.maximum(cage.sum((1, 2)), 1)
    layered = behind & air_in_front & ~air_behind & airy[:, None, None]
    sides = [np.count_nonzero(aerated[:, :, columns < middle]), np.count_nonzero(aerated[:, :, columns > middle])]
    white = (columns > middle) if sides[1] < sides[0] else (columns < middle)
    white = white & (min(sides) < _WHITE * max(sides))
    return np.asarray((above & beside) | (twin_below & behind) | layered | (twin & beside & white))


def _middle(aerated: Mask, bone: Mask) -> float:
    """Return the column in the middle of the chest: of the bones at the level of the lungs, else of the lungs."""
    levels = aerated.any((1, 2))
    columns = np.flatnonzero((bone[levels] if bone[levels].any() else aerated[levels]).any((0, 1)))
    return float(columns[0] + columns[-1]) / 2


def _mirrored(mask: Mask, middle: float) -> Mask:
    """Return a mask mirrored left to right about a column."""
    source = round(2 * middle) - np.arange(mask.shape[2])
    inside = (source >= 0) & (source < mask.shape[2])
    found = np.zeros_like(mask)
    found[:, :, inside] = mask[:, :, source[inside]]
    return found


def _raised(mask: Mask, slices: int) -> Mask:
    """Return a mask moved up by some slices."""
    moved = np.zeros_like(mask)
    moved[slices:] = mask[: max(0, mask.shape[0] - slices)]
    return moved


def _behind(cage: Mask) -> Mask:
    """Return the rear part of each slice of the rib cage (rows run to the back)."""
    rows: Mask = np.any(cage, axis=2)
    first = rows.argmax(1)
    last = rows.shape[1] - 1 - rows[:, ::-1].argmax(1)
    edge: npt.NDArray[np.float64] = last - _BEHIND * (last - first)
    return np.asarray(np.arange(rows.shape[1])[None, :, None] >= edge[:, None, None])
