"""What prompts mean to an engine that knows boxes in slices.

A box or a lasso is a box in the slice that it was drawn in. Clicks and scribbles become a box around them. What was
drawn in an oblique plane is projected to the nearest slice of the scan. Each is about its own slice alone, unless a box
with depth, or one in another plane, says through which slices the object goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.propagate import Cut, Key, Rect, common, hull, rect_of
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import Mask

#: A click or a scribble shows where an object is, not how far it goes: the box around it reaches this much farther, and
#: is at least so wide, mm.
_MARGIN, _LEAST_SIDE = 5.0, 20.0


@dataclass(eq=False)
class Reading:
    """All prompts of an object, as boxes and cuts in the slices along one axis.

    Parameters
    ----------
    axis : int
        Of the scan, across the slices.
    keys : tuple of Key
        The slices with boxes, in ascending order.
    cuts : dict of int to list of Cut
        What does not belong to the object.
    bounds : rect
        Rows and columns that boxes in other planes leave.
    """

    axis: int
    keys: tuple[Key, ...]
    bounds: Rect
    cuts: dict[int, list[Cut]] = field(default_factory=dict)


def read_prompts(prompts: Sequence[Prompt], geometry: Geometry, current: Mask) -> Reading:
    """Return what prompts say in slices.

    The slices are those that the first box or lasso of the object lies in; where there is none, those of the scan that
    are farthest apart.

    Parameters
    ----------
    prompts : sequence of Prompt
        Of one object, oldest first, at least one.
    geometry : Geometry
        Of the scan.
    current : (k, j, i) array of bool
        The object as it is: a click beside it means that it goes as far as there.
    """
    axis = _object_axis(prompts, geometry)
    boxes = _Boxes(geometry, axis, np.moveaxis(current, axis, 0))
    for prompt in prompts:
        if prompt.positive:
            boxes.add(prompt)
    cuts: dict[int, list[Cut]] = {}
    for prompt in prompts:
        if not prompt.positive:
            for index, cut in cuts_of(prompt, geometry, axis).items():
                cuts.setdefault(index, []).append(cut)
    return Reading(axis, boxes.keys(), boxes.bounds, cuts)


def key_index(prompt: Prompt, geometry: Geometry, axis: int) -> int:
    """Return the slice that a prompt lies in; the middle one of those it reaches through."""
    points = _corners(prompt, geometry)[:, axis]
    middle = int(np.floor((points.min() + points.max()) / 2 + 0.5))
    return min(max(middle, 0), geometry.shape[axis] - 1)


def cuts_of(prompt: Prompt, geometry: Geometry, axis: int) -> dict[int, Cut]:
    """Return what a negative prompt takes away, by slice: of a box with depth in each, of all others in one."""
    covered = rasterize(prompt, geometry)
    if covered is None:
        return {}
    rows, columns = (n for other, n in enumerate(geometry.shape) if other != axis)
    mask = np.moveaxis(covered.mask, axis, 0)
    first = covered.box[axis].start
    place = tuple(extent for other, extent in enumerate(covered.box) if other != axis)
    if (len(prompt.points) == 4 and prompt.kind == "box") or plane_axis(prompt, geometry) not in (None, axis):
        found = {first + n: layer for n, layer in enumerate(mask)}
    else:
        found = {key_index(prompt, geometry, axis): mask.any(0)}
    cuts = {}
    for index, layer in found.items():
        area = np.zeros((rows, columns), np.bool_)
        area[place] = layer
        cuts[index] = Cut(area, moves_box=prompt.kind in ("point", "scribble"))
    return cuts


def plane_axis(prompt: Prompt, geometry: Geometry) -> int | None:
    """Return the axis of the scan nearest to the normal of what was drawn; None for what has no plane."""
    points = np.asarray(prompt.points)
    if prompt.kind == "box" and len(points) == 3:
        normal = np.cross(points[1] - points[0], points[2] - points[0])
    elif prompt.kind == "lasso":
        around = points - points.mean(axis=0)
        normal = np.cross(around, np.roll(around, -1, axis=0)).sum(axis=0)
    else:
        return None
    k, j, i = geometry.direction.T
    across = np.stack((np.cross(j, i), np.cross(k, i), np.cross(k, j)))  # normals of the slices, also of a sheared grid
    cosines = np.abs(across @ normal) / np.linalg.norm(across, axis=1)
    return int(cosines.argmax())


def _object_axis(prompts: Sequence[Prompt], geometry: Geometry) -> int:
    spoken = [prompt for prompt in prompts if prompt.positive] or list(prompts)
    for prompt in spoken:
        if (axis := plane_axis(prompt, geometry)) is not None:
            return axis
    farthest = int(np.argmax(np.round(geometry.spacing, 3)))
    if spoken[0].kind != "scribble":
        return farthest
    extents = np.ptp(geometry.to_index(np.asarray(spoken[0].points)), axis=0) * geometry.spacing
    flattest = np.flatnonzero(extents <= extents.min() + 0.5 * min(geometry.spacing))
    return farthest if farthest in flattest else int(flattest[0])


def _corners(prompt: Prompt, geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return fractional indices ``(n, 3)`` of the ends of a prompt."""
    points = np.asarray(prompt.points)
    if prompt.kind == "box":
        corners = points[:1]
        for beside in points[1:]:
            corners = np.concatenate((corners, corners + (beside - points[0])))
        points = corners
    found = geometry.to_index(points)
    if prompt.kind == "scribble" and prompt.radius:
        reach = prompt.radius / np.asarray(geometry.spacing)
        found = np.concatenate((found - reach, found + reach))
    return found


class _Boxes:
    """Gathers the boxes of positive prompts, slice by slice."""

    def __init__(self, geometry: Geometry, axis: int, current: Mask) -> None:
        self._geometry, self._axis, self._current = geometry, axis, current
        self._others = [n for n in range(3) if n != axis]
        rows, columns = (geometry.shape[n] for n in self._others)
        self._whole = self.bounds = (0, 0, rows, columns)
        self._within = (0, geometry.shape[axis])
        self._is_bounded = False
        self._rects: dict[int, list[Rect]] = {}
        self._depths: dict[int, tuple[int, int]] = {}

    def add(self, prompt: Prompt) -> None:
        """Take one more positive prompt."""
        rect, low, high = self._extent(prompt)
        index = key_index(prompt, self._geometry, self._axis)
        if prompt.kind == "box" and len(prompt.points) == 4:
            self._replace(index, rect)
            self._depths[index] = (low, high)
        elif (plane := plane_axis(prompt, self._geometry)) is None:
            self._reach(index, rect)
        elif plane == self._axis:
            self._replace(index, rect)
        else:
            self._bound(plane, rect, (low, high))

    def keys(self) -> tuple[Key, ...]:
        """Return the slices with boxes, in ascending order."""
        found = []
        for index, rects in sorted(self._rects.items()):
            low, high = self._reach_through(index)
            low, high = max(low, self._within[0]), min(high, self._within[1])
            if low <= index < high:
                found.append(Key(index, tuple(rects), low, high))
        return tuple(found)

    def _reach_through(self, index: int) -> tuple[int, int]:
        """Return the first slice that a prompted one speaks for, and the one after the last."""
        if index in self._depths:
            return self._depths[index]
        around = [depth for depth in self._depths.values() if depth[0] <= index < depth[1]]
        if around:
            return around[-1]
        return self._within if self._is_bounded else (index, index + 1)

    def _extent(self, prompt: Prompt) -> tuple[Rect, int, int]:
        """Return rows and columns that a prompt covers, within the slice, and the first slice and that after the last.

        A slice is touched by what reaches over half of it.
        """
        points = _corners(prompt, self._geometry)
        low = np.floor(points.min(axis=0) + 0.5).astype(int)
        high = np.floor(points.max(axis=0) + 0.5).astype(int) + 1
        shape = np.asarray(self._geometry.shape)
        low, high = np.clip(low, 0, shape - 1), np.clip(high, 1, shape)
        row, column = self._others
        rect = (int(low[row]), int(low[column]), int(high[row]), int(high[column]))
        return rect, int(low[self._axis]), int(high[self._axis])

    def _replace(self, index: int, rect: Rect) -> None:
        """Put a box in the place of those it overlaps: a box beside the others is one more part of the object."""
        apart = [other for other in self._rects.get(index, ()) if common(other, rect) is None]
        self._rects[index] = [*apart, rect]

    def _reach(self, index: int, rect: Rect) -> None:
        """Let the boxes of a slice reach as far as a click or a scribble."""
        known = self._rects.get(index)
        if known is None:
            shown = rect_of(self._current[index])
            self._rects[index] = [self._around(rect) if shown is None else hull((shown, rect))]
        elif not any(common(other, rect) == rect for other in known):
            known[-1] = hull((known[-1], rect))

    def _around(self, rect: Rect) -> Rect:
        """Return a box around what was clicked or scribbled, within the slice."""
        sides = []
        for start, stop, axis in ((rect[0], rect[2], self._others[0]), (rect[1], rect[3], self._others[1])):
            spacing = self._geometry.spacing[axis]
            more = max(_MARGIN, (_LEAST_SIDE - (stop - start) * spacing) / 2) / spacing
            sides.append((start - round(more), stop + round(more)))
        (top, bottom), (left, right) = sides
        return common((top, left, bottom, right), self._whole) or rect

    def _bound(self, plane: int, rect: Rect, within: tuple[int, int]) -> None:
        """Keep the object within a box that was drawn in another plane; that plane's own axis stays free."""
        rows, columns = self._whole[2:]
        row, _ = self._others
        free = (0, rect[1], rows, rect[3]) if plane == row else (rect[0], 0, rect[2], columns)
        self.bounds = common(self.bounds, free) or free
        low, high = max(self._within[0], within[0]), min(self._within[1], within[1])
        self._within = (low, high) if high > low else within
        self._is_bounded = True
