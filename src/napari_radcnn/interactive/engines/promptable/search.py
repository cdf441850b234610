"""Where `promptable-3d` looks, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.promptable.input import CLICKED, Array, Grid
from napari_radcnn.interactive.engines.promptable.look import SIZE, Drawn, Levels, View
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_of, joined
from napari_radcnn.progress import Monitor

#: The finest look, in voxels of the scan's finest spacing.
_FINEST = 0.5
#: How much farther away a look is taken when the object leaves the last one, and how often at most.
_STEP_BACK, _MOST_LOOKS = 1.6, 4
#: Share of the cube's side that an object should fill: below the first a closer look is taken, the second is its aim.
_TOO_SMALL, _FILLED = 0.3, 0.6
#: A correction is looked at in a cube this many times as large as the change that is proposed, if the object is larger.
_AROUND = 2.5
#: Share of the cube's side left free around an object that is being corrected.
_MARGIN = 0.15

#: What is added to the network's logits for the proposal with each further prompt: who goes on clicking wants what they
#: point at, not what is likely. (Chosen on scans that the network was trained on.)
_INSISTENCE = 1.0

#: Gives the network's logits for the channels of a cube.
Ask = Callable[[Array, Monitor], Array]


@dataclass(frozen=True, eq=False)
class Answer:
    """Logits on a grid, and the object in them: the parts that prompts or the mask so far vouch for."""

    grid: Grid
    logits: Array
    mask: Mask


class Search:
    """Looks until the object fits what is looked at."""

    def __init__(
        self, ask: Ask, levels: Levels, request: EngineRequest, proposal: Mask, drawn: Drawn, monitor: Monitor
    ) -> None:
        self._ask, self._levels, self._request, self._proposal = ask, levels, request, proposal
        self._drawn, self._monitor = drawn, monitor
        geometry = request.volume.geometry
        self._spacings = np.asarray(geometry.spacing)
        self._finest = _FINEST * float(self._spacings.min())
        self._coarsest = max(self._finest, 1.1 * float((np.array(geometry.shape) * self._spacings).max()) / SIZE)

    def found(self) -> Answer:
        """Look at the object so far, what is proposed, and all that was said of it; or at what is about to change."""
        current = box_of(self._request.current)
        box = joined(joined(current, box_of(self._proposal)), joined(self._drawn.box, self._drawn.last))
        changed = joined(box_of(self._proposal ^ self._request.current), self._drawn.last)
        assert box is not None
        assert changed is not None
        if current is None:
            return self._adjusted(_middle(box), self._spacing_for(box))
        close = max(_AROUND * self._spacing_for(changed), 2 * self._finest)
        if close < self._spacing_for(box):
            return self._look(_middle(changed), close)
        return self._adjusted(_middle(box), self._spacing_for(box), closer=False)

    def _spacing_for(self, box: Box) -> float:
        extent = float(max((e.stop - e.start) * s for e, s in zip(box, self._spacings, strict=True)))
        return self._within(extent / ((1 - 2 * _MARGIN) * SIZE))

    def _within(self, spacing: float) -> float:
        return float(np.clip(spacing, self._finest, self._coarsest))

    def _adjusted(self, center: tuple[float, float, float], spacing: float, *, closer: bool = True) -> Answer:
        answer = self._look(center, spacing)
        for _ in range(_MOST_LOOKS - 1):
            found = box_of(answer.mask)
            if found is None:
                break
            filled = max(e.stop - e.start for e in found) / SIZE
            if self._leaves(answer) and spacing < self._coarsest:
                spacing = self._within(spacing * _STEP_BACK)
                center = self._center_of(answer.grid, found)
                closer = False
            elif closer and filled < _TOO_SMALL and spacing > self._finest * 1.05:
                spacing = self._within(max(spacing * filled / _FILLED, spacing / 2.5))
                center = self._center_of(answer.grid, found)
                closer = False
            else:
                break
            answer = self._look(center, spacing)
        return answer

    def _center_of(self, grid: Grid, found: Box) -> tuple[float, float, float]:
        """Return the middle of an object on a grid, as an index of the scan, moved so that the prompts stay in view."""
        k, j, i = (
            first + step * (extent.start + extent.stop - 1) / 2
            for first, step, extent in zip(grid.first, grid.steps, found, strict=True)
        )
        return k, j, i

    def _leaves(self, answer: Answer) -> bool:
        """Return whether the object reaches a face of the cube that lies inside the scan."""
        grid = answer.grid
        for axis, (first, step, count) in enumerate(
            zip(grid.first, grid.steps, self._request.volume.geometry.shape, strict=True)
        ):
            faces = np.moveaxis(answer.mask, axis, 0)
            if first > 0.5 and faces[:2].sum() > 4:
                return True
            if first + (SIZE - 1) * step < count - 1.5 and faces[-2:].sum() > 4:
                return True
        return False

    def _look(self, center: tuple[float, float, float], spacing: float) -> Answer:
        self._monitor.say("looking")
        view = View(self._levels, center, spacing)
        channels = view.channels(self._request.current, self._request.prompts, self._proposal)
        said = len(self._request.prompts) - 1
        logits = self._ask(channels, self._monitor) + np.float32(said * _INSISTENCE) * (2 * channels[6] - 1)
        return Answer(view.grid, logits, _vouched(logits > 0, channels))


def _vouched(found: Mask, channels: Array) -> Mask:
    """Return the parts of a mask that touch a positive prompt, or the mask so far where there is one."""
    labels, count = ndimage.label(found)
    if count <= 1:
        return found
    sure = (channels[3] > CLICKED) | (channels[5] > 0.5) | (channels[2] > 0.5)
    kept = np.unique(labels[sure & found])
    kept = kept[kept > 0]
    return np.asarray(np.isin(labels, kept)) if kept.size else np.zeros_like(found)


def _middle(box: Box) -> tuple[float, float, float]:
    k, j, i = ((extent.start + extent.stop - 1) / 2 for extent in box)
    return k, j, i


def settled(answer: Answer, request: EngineRequest, drawn: Drawn) -> MaskUpdate:
    """Return the answer on the scan's voxels, with every prompt obeyed.

    Outside the cube the object stays as it was. A positive correction only adds voxels and a negative one only takes
    some away, so that what was right before stays right.
    """
    # Parts that nobody vouched for are pushed below zero before the logits are brought to the scan's voxels.
    logits = np.where(answer.mask | (answer.logits <= 0), answer.logits, np.float32(-1))
    back = answer.grid.to_scan(np.clip(logits, -8, 8))
    if back is None:
        raise ModelError("None of the prompts lies inside the scan.")
    box, values = back
    whole = joined(box, drawn.last)
    assert whole is not None
    mask = request.current[whole].copy()
    inside = _inside(box, whole)
    found = values > 0
    if len(request.prompts) > 1 and request.current.any():
        found = found | mask[inside] if request.prompts[-1].positive else found & mask[inside]
    mask[inside] = found
    for update, wanted in [*((u, True) for u in drawn.positive), *((u, False) for u in drawn.negative)]:
        _obey(mask, whole, update, wanted)
    return MaskUpdate(whole, mask)


def _inside(box: Box, whole: Box) -> Box:
    k, j, i = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, whole, strict=True))
    return k, j, i


def _obey(mask: Mask, whole: Box, update: MaskUpdate, wanted: bool) -> None:
    """Set the voxels of a prompt that lie in a box, in place."""
    target, source = [], []
    for theirs, ours in zip(update.box, whole, strict=True):
        low, high = max(theirs.start, ours.start), min(theirs.stop, ours.stop)
        if high <= low:
            return
        target.append(slice(low - ours.start, high - ours.start))
        source.append(slice(low - theirs.start, high - theirs.start))
    mask[tuple(target)][update.mask[tuple(source)]] = wanted
