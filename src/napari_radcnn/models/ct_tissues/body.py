"""The body: what is not air outside, and neither table nor clothes."""

from __future__ import annotations

import numpy as np

from napari_radcnn.models.ct_tissues.grids import Mask, Small, erode, grow, in_slices, parts_at_edge

#: HU above which something is solid, and below which air holds nothing but air.
SKIN, GAS = -300.0, -900.0
#: mm: a sheet thinner than twice this (table top, blanket, tubes) is not body.
SHEET = 6.0
#: Parts of the body besides the largest, such as arms: at least this large, ml and as a fraction of the largest.
_PART_ML, _PART = 40.0, 0.01
#: HU that the middle of a part has: foam and wood of a table lie below.
_SOLID = -200.0
#: The fraction of pure air among the air voxels of a hole from which it is the room rather than lung.
_ROOM = 0.6
#: mm²: holes in a slice (between an arm and the trunk) this large that lead out are the room; the windpipe is smaller.
_GAP = 900.0


def find_body(small: Small) -> Mask:
    """Return the body with everything inside it, arms included, on the small grid.

    Parameters
    ----------
    small : Small
        The scan at about 3 mm.
    """
    solid = small.hu > SKIN
    kept = _thick_parts(small, solid)
    if not kept.any():
        return kept
    # Back to the skin: what was taken off, plus one voxel's diagonal for corners.
    reach = SHEET + float(np.linalg.norm(small.spacing[1:]))
    flesh = grow(kept, reach, small.spacing) & solid
    return ~_room(small, flesh)


def _thick_parts(small: Small, solid: Mask) -> Mask:
    from scipy import ndimage

    parts, count = ndimage.label(erode(solid, SHEET, small.spacing))
    if count == 0:
        return np.zeros_like(solid)
    sizes = np.bincount(parts.ravel()).astype(float)
    sizes[0] = 0
    means = np.bincount(parts.ravel(), small.hu.ravel()) / np.maximum(sizes, 1)
    body = (means > _SOLID) & (sizes > 0)
    if not body.any():
        return np.zeros_like(solid)
    largest = sizes[body].max()
    body &= (sizes == largest) | (sizes >= max(_PART * largest, _PART_ML / small.voxel_ml))
    return np.asarray(body[parts])


def _room(small: Small, flesh: Mask) -> Mask:
    """Return what is not body: holes of a slice that reach its edge, or lead out of the body elsewhere.

    A scan that was cropped to a part of the chest has lung at its edge: lung holds tissue, the room does not.
    """
    from scipy import ndimage

    parts, count = in_slices(~flesh)
    pure = small.hu < GAS
    area = np.bincount(parts.ravel(), minlength=count + 1) * small.pixel_mm2
    airy = np.bincount(parts[small.hu < -400], minlength=count + 1)
    purity = np.bincount(parts[pure], minlength=count + 1) / np.maximum(airy, 1)
    outside = parts_at_edge(parts, count) & ((purity >= _ROOM) | (airy == 0))
    room = outside[parts]
    through, found = ndimage.label(pure & ~flesh)
    leads_out = np.zeros(found + 1, bool)
    leads_out[np.unique(through[room])] = True
    leads_out[0] = False
    gaps = np.bincount(parts[leads_out[through]], minlength=count + 1) * small.pixel_mm2
    outside |= (gaps >= 0.6 * area) & (area >= _GAP)
    outside[0] = False
    return np.asarray(outside[parts])
