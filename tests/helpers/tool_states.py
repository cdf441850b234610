"""What the tests of the tools share: states on awkward grids, answers pasted back, distances by trying all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import grids
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import ToolState
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

SHAPE = (9, 23, 26)
GRIDS = {name: Geometry(SHAPE, make().affine) for name, make in grids.ALL.items()}


@dataclass(frozen=True)
class Numbered:
    value: int


def state_of(labels, geometry, value=1, array=None, object_box=None, metadata=None):
    labels = np.array(labels, np.uint16)
    labels.setflags(write=False)
    array = np.zeros(geometry.shape, np.int16) if array is None else array
    objects = tuple(Numbered(n) for n in sorted({1, 2, value, *np.unique(labels[labels > 0]).tolist()}))
    return ToolState(Volume(array, geometry, metadata), labels, value, objects, object_box)


def applied(tool, state, monitor=None):
    """The whole mask of the object after a tool; the update must be no larger than what it changes."""
    before = state.labels == state.value
    update = tool.apply(state, monitor or Monitor(1))
    after = before.copy()
    if update is None:
        return after
    after[update.box] = update.mask
    changed = np.argwhere(after != before)
    assert [(e.start, e.stop) for e in update.box] == list(
        zip(changed.min(axis=0), changed.max(axis=0) + 1, strict=True)
    )
    return after


def one_voxel(shape=SHAPE, index=(4, 11, 12)):
    labels = np.zeros(shape, np.uint16)
    labels[index] = 1
    return labels


def positions(geometry):
    """(k, j, i, 3) positions of all voxel centers."""
    return geometry.to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))


def ball_labels(geometry, center, radius, value=1):
    far = np.linalg.norm(positions(geometry) - geometry.to_world(center), axis=-1)
    return (far <= radius).astype(np.uint16) * value


def near_by_trying_all(mask, geometry, distance):
    """Where a True voxel lies within a distance: every pair of voxels measured."""
    where = positions(geometry)
    result = np.zeros(mask.shape, bool)
    for center in where[mask]:
        result |= np.linalg.norm(where - center, axis=-1) <= distance + 1e-6
    return result
