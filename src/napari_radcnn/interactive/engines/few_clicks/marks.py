"""What was pointed at, as indices in the scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.lattice import Floats, Mask
from napari_radcnn.interactive.engines.promptable.input import inner_core
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate, box_of

#: Places that a line or an area stands for, at most.
_PLACES = 24


@dataclass(frozen=True, eq=False)
class Mark:
    """A place, or the places along a line, that belong to the object or do not.

    Attributes
    ----------
    at : (m, 3) array of float
        Indices in the scan.
    positive : bool
        Whether the object is there.
    voxels : MaskUpdate
        All that it covers.
    """

    at: Floats
    positive: bool
    voxels: MaskUpdate

    @property
    def middle(self) -> Floats:
        """The place that it stands for where one is wanted."""
        return np.asarray(self.at[len(self.at) // 2], float)


@dataclass(frozen=True, eq=False)
class Marks:
    """All prompts of an object.

    Attributes
    ----------
    all : tuple of Mark
        In the order in which they were given.
    box : (2, 3) array of float or None
        First voxel, and the one past the last, of the newest box or lasso around the object.
    is_newest_positive : bool
        Whether the newest prompt says where the object is.
    is_flat : bool
        Whether the box was drawn on a slice, and says nothing of the others.
    newest : Mark or None
        What the newest prompt is among `all`; None where that is a box or lasso around the object.
    """

    all: tuple[Mark, ...]
    box: Floats | None
    is_newest_positive: bool
    is_flat: bool = False
    newest: Mark | None = None

    @classmethod
    def of(cls, prompts: tuple[Prompt, ...], geometry: Geometry) -> Marks:
        """Return prompts, the newest last.

        Raises
        ------
        ModelError
            If none of them lies inside the scan, or none says where the object is.
        """
        marks: list[Mark] = []
        box = None
        is_positive, is_flat = True, False
        newest: Mark | None = None
        for prompt in prompts:
            drawn = rasterize(prompt, geometry)
            if drawn is None:
                continue
            is_positive, newest = prompt.positive, None
            start = np.array([extent.start for extent in drawn.box], float)
            if prompt.kind in ("box", "lasso") and prompt.positive:
                box = np.array([start, [extent.stop for extent in drawn.box]], float)
                is_flat = len(prompt.points) != 4 or prompt.kind == "lasso"
            if prompt.kind == "box" and prompt.positive:
                continue
            mask = drawn.mask
            if prompt.kind == "lasso" and prompt.positive:
                mask = inner_core(mask)
            places = np.argwhere(mask)
            places = places[:: max(1, -(-len(places) // _PLACES))] + start
            marks.append(Mark(places, prompt.positive, MaskUpdate(drawn.box, mask)))
            newest = None if prompt.kind == "lasso" and prompt.positive else marks[-1]
        if not marks and box is None:
            raise ModelError("None of the prompts lies inside the scan.")
        return cls(tuple(marks), box, is_positive, is_flat, newest)

    def with_middle_of(self, mask: Mask) -> Marks:
        """Return the same with the deepest voxel of an object as a positive mark, where nothing says where it is.

        It lies far from negative marks, too, if any of the object is left then.
        """
        from scipy.ndimage import distance_transform_edt

        box = box_of(mask)
        assert box is not None
        left = mask[box].copy()
        for mark in self.all:
            if not mark.positive:
                at = np.rint(mark.at).astype(int) - [extent.start for extent in box]
                at = at[((at >= 0) & (at < left.shape)).all(1)]
                left[tuple(at.T)] = False
        depth = distance_transform_edt(np.pad(left if left.any() else mask[box], 1))[1:-1, 1:-1, 1:-1]
        start = [extent.start for extent in box]
        at = np.array(np.unravel_index(int(np.argmax(depth)), depth.shape)) + start
        k, j, i = (slice(int(n), int(n) + 1) for n in at)
        known = Mark(at[None].astype(float), True, MaskUpdate((k, j, i), np.ones((1, 1, 1), bool)))
        return replace(self, all=(known, *self.all))

    @property
    def first(self) -> Floats | None:
        """The place that was pointed at first: of a positive mark, else the middle of the box; None without either."""
        mark = next((mark for mark in self.all if mark.positive), None)
        if mark is not None:
            return mark.middle
        return None if self.box is None else np.asarray((self.box[0] + self.box[1] - 1) / 2, float)

    def positive(self) -> Floats:
        """Return the places (n, 3) that belong to the object."""
        return self._places(positive=True)

    def negative(self) -> Floats:
        """Return the places (n, 3) that do not."""
        return self._places(positive=False)

    def _places(self, *, positive: bool) -> Floats:
        chosen = [mark.at for mark in self.all if mark.positive == positive]
        return np.concatenate(chosen) if chosen else np.zeros((0, 3))
