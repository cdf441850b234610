"""Bone with its marrow; not vessels, kidneys or bowel that hold contrast medium."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_tissues.grids import (
    Mask,
    Small,
    Values,
    erode,
    finer,
    grow,
    in_slices,
    middle_column,
    parts_at_edge,
)

#: HU from which a voxel may be bone, and that only compact bone (or metal) exceeds.
BONE, COMPACT = 150.0, 450.0
#: The fraction of compact bone in a part that is bone, and the volume of the smallest part, ml.
_COMPACT_PART, _PART_ML = 0.03, 0.15
#: How little the values of blood with contrast medium vary within a block of 3 voxels, HU and as a fraction of their
#: mean; those of bone vary more.
_EVEN, _EVEN_PART = 40.0, 0.15
#: HU above its mean that a pool's rim still belongs to it.
_ABOVE = 80.0
#: HU around a part below which it is a vessel of the lung.
_IN_LUNG = -350.0
#: ml: the smallest pool of blood; mm: how far around its middle it reaches.
_POOL_ML, _POOL_RIM = 0.3, 7.0
#: mm²: holes in a slice of bone larger than this are not marrow.
_HOLE = 2500.0
#: The spinal canal: mm², HU, and mm from the middle of the body.
_CANAL_AREA, _CANAL, _CANAL_ASIDE = (120.0, 600.0), (-10.0, 75.0), 25.0
#: mm: gaps of the compact bone that are passed over, within slices and in three dimensions; HU of a gap that is bone
#: itself, and that marrow has at least.
_GAP, _CLOSED, _SPONGY, _FATTY = 4.5, 4.5, 90.0, 20.0


def find_bone(fine: Small, coarse: Small, body: Mask) -> Mask:
    """Return bone with its marrow.

    Parameters
    ----------
    fine, coarse : Small
        The scan at about 1.5 and 3 mm.
    body : (k, j, i) array of bool
        The body on the fine grid.
    """
    from scipy import ndimage

    hard = (fine.hu > BONE) & body & (fine.hu > finer(_pools(coarse), coarse, fine))
    parts, count = ndimage.label(hard)
    sizes = np.bincount(parts.ravel(), minlength=count + 1).astype(float)
    compact = np.bincount(parts[fine.hu > COMPACT], minlength=count + 1)
    bone = (compact >= _COMPACT_PART * sizes) & (sizes * fine.voxel_ml >= _PART_ML)
    wide = ndimage.maximum_filter(np.where(bone[parts], parts, 0), 3)
    ring = (wide > 0) & (parts == 0)
    around = np.bincount(wide[ring], fine.hu[ring], count + 1) / np.maximum(
        np.bincount(wide[ring], minlength=count + 1), 1
    )
    bone &= around > _IN_LUNG
    bone[0] = False
    found = np.asarray(bone[parts])
    return found | _marrow(fine, found, middle_column(body))


def _pools(small: Small) -> Values:
    """Return up to which HU a voxel is contrast medium rather than bone; 0 where there is none.

    Contrast medium in the heart, in large vessels, in kidneys and bowel is as bright as bone, but even over more than
    the width of a voxel.
    """
    from scipy import ndimage

    hard = small.hu > BONE
    core = ndimage.binary_erosion(hard, np.ones((3, 3, 3), bool), border_value=1)
    if not core.any():
        return np.zeros_like(small.hu)
    mean = ndimage.uniform_filter(small.hu, 3, mode="nearest")
    square = ndimage.uniform_filter(small.hu**2, 3, mode="nearest")
    even = core & (square - mean**2 < np.maximum(_EVEN, _EVEN_PART * mean) ** 2)
    parts, count = ndimage.label(even)
    large = np.bincount(parts.ravel(), minlength=count + 1) * small.voxel_ml >= _POOL_ML
    large[0] = False
    pools = large[parts]
    reach = [2 * round(_POOL_RIM / step) + 1 for step in small.spacing]
    level = ndimage.maximum_filter(np.where(pools, mean + _ABOVE, 0).astype(np.float32), reach)
    return np.where(grow(pools, _POOL_RIM, small.spacing), level, 0).astype(np.float32)


def _marrow(small: Small, bone: Mask, middle: float) -> Mask:
    """Return the holes of bone within slices, once gaps are closed, but for the spinal canal."""
    from scipy import ndimage

    steps = max(1, round(_GAP / small.spacing[1]))
    cross = ndimage.generate_binary_structure(2, 1)[None]
    padded = np.pad(bone, ((0, 0), (steps, steps), (steps, steps)))
    closed = ndimage.binary_closing(padded, cross, iterations=steps)[:, steps:-steps, steps:-steps] | bone
    parts, count = in_slices(~closed)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    area = sizes * small.pixel_mm2
    means = np.bincount(parts.ravel(), small.hu.ravel(), count + 1) / np.maximum(sizes, 1)
    columns = np.broadcast_to(np.arange(bone.shape[2], dtype=np.float32), bone.shape)
    aside = np.abs(np.bincount(parts.ravel(), columns.ravel(), count + 1) / np.maximum(sizes, 1) - middle)
    canal = (means > _CANAL[0]) & (means < _CANAL[1]) & (aside * small.spacing[2] <= _CANAL_ASIDE)
    canal &= (area > _CANAL_AREA[0]) & (area <= _CANAL_AREA[1])
    canal &= _is_rearmost(parts, canal)
    inner = ~parts_at_edge(parts, count) & (area <= _HOLE) & ~canal & (means > -200)
    inner[0] = False
    filled = inner[parts] | (closed & (small.hu > _SPONGY))
    return np.asarray(filled | (_closed(bone | filled, small) & (small.hu > _FATTY) & ~canal[parts]))


def _is_rearmost(parts: npt.NDArray[np.int32], chosen: Mask) -> Mask:
    """Return which of the chosen parts lie behind all others of their slice: a vertebra's body lies before the canal.

    Parameters
    ----------
    parts : (k, j, i) array of int
        Numbered through; 0 is none.
    chosen : (n,) array of bool
        Of the parts.
    """
    number = np.where(chosen[parts], parts, 0)
    found = np.zeros_like(chosen)
    for slice_ in number:
        rows = slice_.any(1)
        if rows.any():
            last = slice_[rows.size - 1 - rows[::-1].argmax()]
            found[last[last > 0]] = True
    return found


def _closed(bone: Mask, small: Small) -> Mask:
    """Return bone with narrow gaps of its compact layer and what that encloses, in three dimensions."""
    width = [int(np.ceil(_CLOSED / step)) + 1 for step in small.spacing]
    padded = np.pad(bone, [(n, n) for n in width])
    closed = erode(grow(padded, _CLOSED, small.spacing), _CLOSED, small.spacing)
    return np.asarray(closed[tuple(slice(n, -n) for n in width)])
