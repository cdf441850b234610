"""Grow from seeds: several objects at once from strokes inside each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.tools.base import FormTool, ToolState, moved, padded, reach
from napari_radcnn.interactive.tools.flooding import Crop, grow
from napari_radcnn.interactive.tools.ranges import refuse_color
from napari_radcnn.interactive.update import LabelsUpdate, box_of
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import option


@dataclass(frozen=True)
class GrowFromSeeds(FormTool):
    """Let all objects grow from their present voxels, the seeds, until they meet, and stop at edges.

    Every unlocked object with a voxel takes part: draw some strokes inside each, and some on what is none of them, as
    an object of its own, the background. It is one step, whichever object it is applied to.

    Parameters
    ----------
    background : int
        Value of the object whose voxels are seeds of what belongs to none; it is empty afterwards. 0: there are no such
        seeds, and whatever lies at the faces of the crop belongs to none; at those of the scan, which may cut through
        objects, what has values unlike all seeds.
    margin : float
        How far objects may grow beyond the box around all seeds, mm.
    spread : float
        How far, in standard deviations of the values under its seeds, the values of an object may lie from their
        middle; what lies farther away belongs to none. 0 is no limit.
    is_coarse : bool
        Whether large crops are flooded on the coarse grid only: a first look, within a second or so.

    Notes
    -----
    Seeds flood the magnitude of the gradient in the order of its heights (Meyer's watershed, scikit-image's), so that
    they meet on the crest between them. Large crops are flooded on a grid of about a million voxels first, and then
    once more at full resolution around the surfaces found there. Locked objects are walls.
    """

    name: ClassVar[str] = "grow_from_seeds"
    is_of_all: ClassVar[bool] = True
    background: int = option(
        0,
        title="Background",
        help="The object whose strokes mark what belongs to no object; 0: none",
        low=0,
        high=65535,
    )
    margin: float = option(
        20.0, title="Margin", help="How far objects may grow beyond all strokes", low=0.0, high=1000.0, unit="mm"
    )
    spread: float = option(
        2.5,
        title="Spread",
        help="How far values may lie from those under an object's strokes, in standard deviations; 0: any value",
        low=0.0,
        high=100.0,
        step=0.5,
    )
    is_coarse: bool = option(
        False, title="Coarse", help="Show the result at once: large crops are processed at a coarser resolution"
    )

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Grow from seeds"

    def apply(self, state: ToolState, monitor: Monitor) -> LabelsUpdate | None:
        """Return the grown objects; None where nothing changes.

        Raises
        ------
        OptionError
            If seeds are missing, `background` is no object or is locked, or the scan is a color image.
        """
        refuse_color(state.volume)
        values, box = self._grown(state)
        monitor.total, monitor.done = 4, 0
        monitor.say("looking at the seeds")
        labels = state.labels[box]
        taking_part = [*values, *([self.background] if self.background else [])]
        number = np.zeros(65536, np.int32)  # of the seeds of an object; the last one is that of what belongs to none
        number[values] = np.arange(1, len(values) + 1)
        if self.background:
            number[self.background] = len(values) + 1
        is_wall = np.ones(65536, bool)
        is_wall[[0, *taking_part]] = False
        crop = Crop(
            state.volume.read_block(box),
            number[labels],
            is_wall[labels],
            len(values) + 1,
            state.geometry.spacing,
            _open_faces(box, state.labels.shape),
        )
        grown = grow(crop, self.spread, has_outside=bool(self.background), is_coarse=self.is_coarse, monitor=monitor)
        named = np.zeros(len(values) + 2, np.uint16)
        named[1 : len(values) + 1] = values
        result = np.where(crop.walls, labels, named[grown]).astype(np.uint16)
        changed = box_of(result != labels)
        if changed is None:
            return None
        return LabelsUpdate(moved(changed, box), np.ascontiguousarray(result[changed]))

    def _grown(self, state: ToolState) -> tuple[list[int], Box]:
        """Return the values of the objects that grow, and the crop in which they do."""
        if self.background:
            state.check_object(self.background)
            if self.background in state.locked:
                raise OptionError("The background is a locked object: unlock it, or choose another one.")
        around = find_any(state.labels, state.object_box)
        counts = np.zeros(1, int) if around is None else np.bincount(state.labels[around].ravel())
        there = set(np.flatnonzero(counts).tolist()) - {0} - set(state.locked)
        values = sorted(there - {self.background})
        if not values or around is None:
            raise OptionError("No object has a seed: draw a stroke inside each object first.")
        if self.background and self.background not in there:
            raise OptionError("The background has no seed: draw a stroke on what belongs to no object.")
        if len(values) < 2 and not self.background:
            raise OptionError(
                "Only one object has seeds: draw a stroke in a second one, or name one with strokes as the background."
            )
        return values, padded(around, reach(state.geometry, self.margin), state.labels.shape)


def find_any(labels: npt.NDArray[np.unsignedinteger], within: Box | None) -> Box | None:
    """Return the smallest box around all objects, looking only inside `within`; None for none."""
    if within is None:
        return box_of(labels != 0)
    found = box_of(labels[within] != 0)
    return None if found is None else moved(found, within)


def _open_faces(box: Box, shape: tuple[int, ...]) -> tuple[tuple[bool, bool], ...]:
    """Return for each axis whether the first and the last face of a box are faces of the scan."""
    return tuple((extent.start == 0, extent.stop == n) for extent, n in zip(box, shape, strict=True))
