"""`region`: from prompts to an object by gray values and edges, without a network and without randomness.

What has a clear outline is taken as it is (`stable`). Where nothing has, a first prompt grows a region in windows of
several sizes and takes the most convincing one (`region_grow`). A
correction adds or takes away a part around the new prompt: the object's boundary is as far from the prompt as the error
is thick, which says how large the part is likely to be. Either way a random walker then moves the boundary, there only,
to where the image has one (`region_refine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.region.boxed import boxed_object
from napari_radcnn.interactive.engines.region.grid import Indices, Window, bounds, connected
from napari_radcnn.interactive.engines.region.grow import Expected, Grown, Tone, grow
from napari_radcnn.interactive.engines.region.refine import refined
from napari_radcnn.interactive.engines.region.seeds import Mark
from napari_radcnn.interactive.engines.region.stable import clear_object
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_of
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Margins around the first prompt, mm, from the smallest window to the largest, and blocks along a window's side.
_MARGINS, _BLOCKS = (22.0, 45.0, 90.0, 180.0), 48
#: Blocks along a side of the refined window, were it a cube.
_FINE_BLOCKS = 64
#: A first region: its likely radius, mm, and the valley that makes a larger window needless.
_RADIUS, _CONVINCING, _TOUCHING = 13.4, 1.5, 0.03
#: A box says more of the size.
_BOX_STRENGTH = 0.5
#: A correction: radius in units of the depth of the prompt, strength, and the window's margin in the same units.
_ADDED, _REMOVED, _REACH = (1.06, 0.15), (1.68, 0.05), 4.0
#: From this depth, mm, a positive prompt may as well mark a part far from the object.
_FAR, _FAR_STRENGTH = 20.0, 0.08
#: How many voxels of a long scribble its depth is measured at.
_SAMPLES = 16


@dataclass(frozen=True)
class Limits:
    """How much the engine dares.

    In games on training scans half of the clicks that added more than twice the object made it worse, and none that
    added less than 0.6 times; beyond three of its depths a negative click gained 0.003, and brought five in six of the
    harmful ones.

    Attributes
    ----------
    strength : float
        Of the likely radius, beside what the image says, for a first click.
    growth, free_radius : float
        A positive correction adds at most so many times the object, or a ball of this radius, mm.
    farthest : float
        A negative one takes away no farther from itself than so many times its depth.
    """

    strength: float = 0.12
    growth: float = 0.6
    free_radius: float = 8.0
    farthest: float = 3.0


#: What networks that begin with an answer of this engine learned with.
PROPOSING = Limits(strength=0.06, growth=3.0, free_radius=12.5, farthest=np.inf)


@dataclass(frozen=True, eq=False)
class _Task:
    """One request, taken apart."""

    request: EngineRequest
    limits: Limits
    marks: tuple[Mark, ...]
    seeds: Indices
    depth: float

    @property
    def volume(self) -> Volume:
        return self.request.volume

    @property
    def new(self) -> Mark:
        return self.marks[-1]

    @property
    def is_positive(self) -> bool:
        return self.new.prompt.positive

    @property
    def is_first(self) -> bool:
        return self.depth == np.inf


class RegionEngine:
    """Segments without a network; see `Engine`.

    Parameters
    ----------
    settings : RunSettings, optional
        Taken as every engine takes them; this one computes in single precision on one core, whatever they say.
    limits : Limits
        How much it dares.

    Notes
    -----
    A positive prompt only adds voxels and a negative one only takes some away, and both near the prompt, so that
    strokes elsewhere stay.
    """

    name = "region"

    def __init__(self, settings: RunSettings | None = None, limits: Limits = Limits()) -> None:
        self._settings = RunSettings() if settings is None else settings
        self._limits = limits

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Read what the first click needs: modules, and the voxels of a scan that is not in memory yet."""
        import_module("scipy.ndimage")
        import_module("skimage.graph")
        monitor.check()
        volume.read_block((slice(0, 1), slice(0, 1), slice(0, 1)))

    def predict(self, request: EngineRequest, monitor: Monitor, *, is_unclear: bool = False) -> MaskUpdate:
        """Return the object's mask around the new prompt; see `Engine.predict`.

        Parameters
        ----------
        request : EngineRequest
            What a session asks.
        monitor : Monitor
            Told what goes on, and asked whether to stop.
        is_unclear : bool
            Whether it is known that neither `clear_object` nor `boxed_object` answers.

        Raises
        ------
        ModelError
            If there is no prompt, or nothing says yet where the object is.
        CancelledError
            If the user asked to stop.
        """
        monitor.say("looking at the prompt")
        task = _taken_apart(request, self._limits)
        if not len(task.seeds):
            return _unchanged(request, task.new)
        if not is_unclear:
            clear = clear_object(request, monitor) or boxed_object(request, monitor)
            if clear is not None:
                return clear
        grown = _first(task, monitor) if task.is_first else _correction(task, monitor)
        monitor.say("drawing the boundary")
        return _finished(task, grown, monitor)

    def close(self) -> None:
        """Keep nothing; there is nothing to give back."""


def _taken_apart(request: EngineRequest, limits: Limits) -> _Task:
    """Return a request with its prompts in voxels, and how deep the new one lies within what it changes.

    Raises
    ------
    ModelError
        If nothing says where the object is.
    """
    if not request.prompts:
        raise ModelError("The region engine needs a prompt: click on the object, or draw a box or a line.")
    marks = tuple(Mark.of(prompt, request.volume.geometry) for prompt in request.prompts)
    new = marks[-1]
    has_object = bool(request.current.any())
    if not has_object and not any(mark.prompt.positive for mark in marks):
        raise ModelError("Mark the object first: left-click on it, or draw a box around it.")
    seeds = new.seeds
    is_begun = has_object and not _is_first_word(request, marks)
    if is_begun and len(seeds):
        seeds = seeds[request.current[tuple(seeds.T)] != new.prompt.positive]
    elif not new.prompt.positive:  # there is nothing to take away yet
        seeds = seeds[:0]
    if request.forbidden is not None and len(seeds):
        seeds = seeds[~request.forbidden[tuple(seeds.T)]]
    depth = np.inf
    if is_begun and len(seeds):
        sampled = seeds[np.linspace(0, len(seeds) - 1, min(len(seeds), _SAMPLES)).astype(np.intp)]
        spacing = np.array(request.volume.geometry.spacing)
        depth = max(_depth(request.current, voxel, spacing) for voxel in sampled)
    return _Task(request, limits, marks, seeds, depth)


def _is_first_word(request: EngineRequest, marks: tuple[Mark, ...]) -> bool:
    """Return whether the new prompt is the first that says where the object is, on strokes that were painted before."""
    *earlier, new = marks
    if not new.prompt.positive or any(mark.prompt.positive for mark in earlier) or not len(new.seeds):
        return False
    return bool(request.current[tuple(new.seeds.T)].all())


def _depth(mask: Mask, voxel: Indices, spacing: np.ndarray, most: float = 100.0) -> float:
    """Return the distance in mm from a voxel to the nearest one of the other value, at most `most`."""
    reach = 8 * float(spacing.min())
    while True:
        low = np.maximum(0, np.floor(voxel - reach / spacing).astype(np.intp))
        high = np.minimum(mask.shape, np.ceil(voxel + reach / spacing).astype(np.intp) + 1)
        block = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        others = np.argwhere(block != mask[tuple(voxel)])
        nearest = most
        if len(others):
            nearest = float(np.sqrt((((others + low - voxel) * spacing) ** 2).sum(1).min()))
        if nearest <= reach or reach >= most:
            return min(nearest, most)
        reach = min(2 * reach, most)


def _first(task: _Task, monitor: Monitor) -> Grown:
    """Return the most convincing region around the first prompt, from windows of several sizes."""
    if task.new.is_frame:
        low, high = bounds(task.new.voxels)
        extent = np.sort((high - low) * np.array(task.volume.geometry.spacing))
        margin = 0.3 * float(extent[-1])
        radius = float(np.sqrt(extent[-1] * extent[-2])) / 2
        return _best(task, bounds(task.new.voxels), (margin,), Expected(radius, _BOX_STRENGTH), monitor)
    return _best(task, bounds(task.seeds), _MARGINS, Expected(_RADIUS, task.limits.strength), monitor)


def _correction(task: _Task, monitor: Monitor) -> Grown:
    """Return the part to add or to take away around the new prompt."""
    spacing = np.array(task.volume.geometry.spacing)
    reach = min(_REACH * task.depth + 4 * float(spacing.min()), _MARGINS[-1])
    margins: tuple[float, ...] = (reach,)
    factor, strength = _ADDED if task.is_positive else _REMOVED
    radius, most = factor * task.depth, np.inf
    if task.is_positive:
        present = float(np.count_nonzero(task.request.current)) * float(spacing.prod())
        most = max(task.limits.growth * present, 4 / 3 * np.pi * task.limits.free_radius**3)
        if task.depth > _FAR:
            margins = (*(margin for margin in _MARGINS if margin < reach), reach)
            radius, strength = factor * float(np.sqrt(task.depth * _FAR)), _FAR_STRENGTH
    return _best(task, bounds(task.seeds), margins, Expected(radius, strength, True, most), monitor)


def _best(
    task: _Task, around: tuple[Indices, Indices], margins: tuple[float, ...], expected: Expected, monitor: Monitor
) -> Grown:
    """Return the best of the regions grown in windows with these margins."""
    best: Grown | None = None
    tone: Tone | None = None
    for margin in margins:
        monitor.check()
        window = Window.around(task.volume, *around, margin, _BLOCKS)
        grown, tone = _grown(task, window, expected, tone if task.is_first else None)
        if best is None or grown.score > best.score:
            best = grown
        if not expected.is_correction and grown.valley >= _CONVINCING and grown.touching < _TOUCHING:
            break
        if not any(any(ends) for ends in window.is_open):
            break
    if best is None:
        raise ModelError("There is no window to look at; this is a defect of the region engine.")
    return best


def _grown(task: _Task, window: Window, expected: Expected, tone: Tone | None) -> tuple[Grown, Tone]:
    """Return the region in one window."""
    seeds = window.marked(task.seeds)
    allowed, inert = window.is_valid.copy(), None
    if not task.is_first:
        present = window.reduced(task.request.current[window.box]) >= 0.5
        allowed &= ~present if task.is_positive else present
        inert = present if task.is_positive else ~present
    if task.is_positive and task.request.forbidden is not None:  # ends at a locked object, edge or not
        locked = window.reduced(task.request.forbidden[window.box]) >= 0.5
        allowed &= ~locked
        inert = locked if inert is None else inert | locked
    against = np.zeros(window.shape, bool)
    for mark in task.marks:
        if mark.prompt.positive != task.is_positive:
            against |= window.marked(mark.seeds)
    if task.new.is_frame:
        if task.new.flat_axis is None:
            allowed &= window.marked(task.new.voxels)
        else:
            allowed &= ~window.marked(task.new.outside(window)) | window.marked(task.new.voxels)
    return grow(window, seeds, against & ~seeds, allowed, inert, expected, tone)


def _finished(task: _Task, grown: Grown, monitor: Monitor) -> MaskUpdate:
    """Return the object with a grown part added or taken away, and its boundary drawn finely there."""
    from scipy.ndimage import binary_fill_holes, distance_transform_edt

    mask = np.asarray(binary_fill_holes(grown.mask)) if task.is_positive else _near(task, grown)
    coarse_window, blocks = grown.window.cropped(mask)
    part = coarse_window.drawn(blocks, 0.5)
    low, high = _reached(task, coarse_window, part)
    spacing = np.array(task.volume.geometry.spacing)
    margin = max(0.15 * float(((high - low) * spacing).max()), 3 * float(spacing.max()))
    window = Window.filled(task.volume, low, high, margin, _FINE_BLOCKS)
    current = task.request.current[window.box]
    change = np.zeros(current.shape, bool)
    _paste(change, window, part, coarse_window)
    change[tuple((task.seeds - window.low).T)] = True
    coarse = current | change if task.is_positive else current & ~change
    monitor.check()
    fixed = _fixed(task, window)
    if not task.is_first:  # the rest of the object stays as it is
        zone = task.depth + float(spacing.min())
        changed = window.reduced(change) > 0
        away = distance_transform_edt(~changed, sampling=window.spacing) > zone
        kept = window.reduced(coarse) >= 0.5
        fixed = np.where(away & np.isnan(fixed), kept, fixed).astype(np.float32)
    mask = refined(window, coarse, fixed, monitor)
    if not task.is_first:
        near = window.drawn(~away, 0.5)
        mask = np.where(near, mask, coarse)
    mask = mask | current if task.is_positive else mask & current
    return _settled(task, window, mask)


def _near(task: _Task, grown: Grown) -> Mask:
    """Return what a negative prompt takes away of a grown part: what goes on from it to a few of its ways at most."""
    from scipy.ndimage import distance_transform_edt

    if not np.isfinite(task.limits.farthest):
        return grown.mask
    seeds = grown.window.marked(task.seeds)
    far = distance_transform_edt(~seeds, sampling=grown.window.spacing)
    reach = max(task.limits.farthest * task.depth, float(grown.window.spacing.max()))
    return connected(grown.mask & (far <= reach), seeds)


def _reached(task: _Task, window: Window, part: Mask) -> tuple[Indices, Indices]:
    """Return the box of a grown part and the new seeds."""
    low, high = bounds(task.seeds)
    box = box_of(part)
    if box is not None:
        low = np.minimum(low, [extent.start for extent in box] + window.low)
        high = np.maximum(high, [extent.stop for extent in box] + window.low)
    return low, high


def _paste(target: Mask, window: Window, part: Mask, source: Window) -> None:
    """Copy what two windows share from `part`, on the second one's voxels, to `target`, on the first one's."""
    low, high = np.maximum(window.low, source.low), np.minimum(window.high, source.high)
    into = tuple(slice(a, b) for a, b in zip(low - window.low, high - window.low, strict=True))
    out_of = tuple(slice(a, b) for a, b in zip(low - source.low, high - source.low, strict=True))
    target[into] = part[out_of]


def _fixed(task: _Task, window: Window) -> np.ndarray:
    """Return 1 in blocks that prompts give to the object, 0 in those they take from it, NaN in all others."""
    fixed = np.full(window.shape, np.nan, np.float32)
    if task.new.is_frame and task.is_first:
        if task.new.flat_axis is None:
            fixed[~window.marked(task.new.voxels)] = 0
        else:
            fixed[window.marked(task.new.outside(window))] = 0
    if task.is_positive and task.request.forbidden is not None:
        fixed[window.reduced(task.request.forbidden[window.box]) >= 0.5] = 0
    for mark in task.marks:  # the last word counts
        fixed[window.marked(mark.seeds)] = float(mark.prompt.positive)
    return fixed


def _settled(task: _Task, window: Window, mask: Mask) -> MaskUpdate:
    """Return a mask with every prompt obeyed and without pieces that hang on nothing."""
    current = task.request.current[window.box]
    for mark in task.marks:
        inside = mark.seeds[((mark.seeds >= window.low) & (mark.seeds < window.high)).all(1)] - window.low
        mask[tuple(inside.T)] = mark.prompt.positive
    if task.is_first and task.new.is_frame:
        _confine(mask, task.new, window)
    if task.is_positive:
        place = box_of(mask)
        if place is not None:
            begun = current.copy()
            begun[tuple((task.seeds - window.low).T)] = True
            mask[place] = connected(mask[place], begun[place])
    return MaskUpdate(window.box, mask)


def _confine(mask: Mask, frame: Mark, window: Window) -> None:
    """Clear what lies outside a box that the user drew around the object: everywhere, or in the plane of a flat one."""
    inside = np.zeros(mask.shape, bool)
    in_window = ((frame.voxels >= window.low) & (frame.voxels < window.high)).all(1)
    inside[tuple((frame.voxels[in_window] - window.low).T)] = True
    if frame.flat_axis is None:
        mask &= inside
    else:
        plane: list[slice | int] = [slice(None)] * 3
        plane[frame.flat_axis] = int(frame.voxels[0, frame.flat_axis] - window.low[frame.flat_axis])
        mask[tuple(plane)] &= inside[tuple(plane)]


def _unchanged(request: EngineRequest, mark: Mark) -> MaskUpdate:
    """Return the object as it is, around a prompt that it obeys already."""
    if not len(mark.voxels):
        box: Box = (slice(0, 1), slice(0, 1), slice(0, 1))
    else:
        low, high = bounds(mark.voxels)
        box = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))
    return MaskUpdate(box, request.current[box].copy())
