"""Muscle against other soft tissue: both have the same HU, so the place in the body decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_tissues.grids import (
    Mask,
    Small,
    erode,
    grow,
    hulls,
    in_slices,
    middle_column,
    parts_at_edge,
)

#: HU of muscle without contrast medium and with it.
MUSCLE = (-29.0, 150.0)
#: mm: the skin; how thick the wall of the belly is; how far muscles of the spine and the pelvis reach from bone.
_SKIN, _WALL, _FROM_BONE = 3.0, 13.0, 26.0
#: mm: half the width of a gap in the wall of the trunk that is passed over.
_GAP = 9.0
#: mm: what is thinner is skin, vessel or a strand in fat.
_THIN = 3.0
#: mm: bones that span so much are a rib cage or a pelvis, which hold the organs; how far aside the spine may lie.
_SPAN, _SPINE = 150.0, 40.0
#: mm from the hull of the bones inwards to where the pelvis or the lower rib cage holds organs.
_INNER = 9.0
#: mm: how far behind the middle of the spine the muscles of the back begin; kidneys and liver end before.
_BEHIND = 12.0
#: mm2: what a bone may enclose within a slice.
_MARROW = 1500.0
#: mm: half the thickness of vertebrae, of the pelvis and of bones of the limbs, which have muscle around them; ribs
#: are thinner.
_THICK = 5.0


def find_muscle(small: Small, body: Mask, lungs: Mask, bone: Mask) -> Mask:
    """Return where soft tissue is muscle: in the wall of the trunk, in the limbs, beside spine and pelvis.

    Parameters
    ----------
    small : Small
        The scan at about 3 mm.
    body, lungs, bone : (k, j, i) array of bool
        On that grid.
    """
    deep = erode(body, _SKIN, small.spacing)
    solid = _solid(bone, small)
    soft = (small.hu > MUSCLE[0]) & (small.hu < MUSCLE[1]) & deep & ~lungs & ~solid
    wall = _enclosed(soft | bone | lungs, small)
    chest, frame = hulls(lungs), hulls(bone)
    wide = (frame.any(1).sum(1) * small.spacing[2] >= _SPAN)[:, None, None]
    thick = erode(solid, _THICK, small.spacing)
    rows = np.arange(body.shape[1])[None, :, None]
    inner = erode(frame, _INNER, small.spacing)
    held = wide & inner
    shallow = ~erode(wall, _WALL, small.spacing) & ~held
    before_frame = np.logical_or.accumulate(frame[:, ::-1], axis=1)[:, ::-1] & ~frame
    # in front of the frame lies the belly, also where its one side reaches farther to the front than the other
    around_frame = wide & ~frame & ~before_frame & (rows >= _first_row(inner))
    spine = thick & (np.abs(np.arange(body.shape[2]) - middle_column(body)) * small.spacing[2] <= _SPINE)
    behind_spine = (rows > _mean_row(spine) + _BEHIND / small.spacing[1]) & ~held
    near = grow(thick, _FROM_BONE, small.spacing) & (rows >= _first_row(thick))
    return np.asarray(soft & wall & ~chest & (shallow | around_frame | behind_spine | near))


def _solid(bone: Mask, small: Small) -> Mask:
    """Return bones with their marrow, which may be no denser than muscle, and the canal of the spine."""
    shell = grow(bone, _THIN, small.spacing)
    parts, _ = in_slices(~shell)
    filled = np.bincount(parts.ravel()) * small.spacing[1] * small.spacing[2] <= _MARROW
    filled[0] = False
    return bone | erode(shell | filled[parts], _THIN, small.spacing)


def _first_row(mask: Mask) -> npt.NDArray[np.int_]:
    """Return the foremost row of a mask in each slice, beyond the last where there is none; shaped to compare."""
    rows: Mask = np.any(mask, axis=2)
    return np.asarray(np.where(rows.any(1), rows.argmax(1), rows.shape[1]))[:, None, None]


def _mean_row(mask: Mask) -> npt.NDArray[np.float64]:
    """Return the mean row of a mask in each slice, infinity where there is none; shaped to compare."""
    counts = mask.sum(2)
    total = counts.sum(1)
    means = (counts * np.arange(mask.shape[1])).sum(1) / np.maximum(total, 1)
    return np.asarray(np.where(total > 0, means, np.inf))[:, None, None]


def _enclosed(flesh: Mask, small: Small) -> Mask:
    """Return thick flesh and all that it encloses within a slice: the trunk without the fat below the skin."""
    thick = grow(erode(flesh, _THIN, small.spacing), _THIN + max(small.spacing[1:]), small.spacing) & flesh
    near = grow(thick, _GAP, small.spacing)
    parts, count = in_slices(~near)
    inner = ~parts_at_edge(parts, count)
    inner[0] = False
    return thick | erode(near | inner[parts], _GAP, small.spacing)
