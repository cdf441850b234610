"""What `promptable-3d` is shown: a cube of a scan with one object in it, and the clicks a user would make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.promptable.input import Grid, inner_core, mark, near_channel, wide_channel
from napari_radcnn.interactive.engines.promptable.network import CHANNELS
from napari_radcnn.interactive.engines.region.engine import PROPOSING, RegionEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.progress import Monitor
from napari_radcnn.training.promptable.cases import Case
from napari_radcnn.training.promptable.shapes import (
    Array,
    draw_labels,
    paint,
    random_rotation,
    smooth_field,
    spoil,
    warped_coordinates,
)
from napari_radcnn.volume import Volume

Mask = npt.NDArray[np.bool_]
Sample = tuple[Array, Mask]

#: Shares of the kinds of sample: drawn maps, regions, lesions put into scans, recolored maps, made-up shapes.
_KINDS = ("drawn", "regions", "lesion", "recolored", "shapes")
_SHARES = (0.38, 0.14, 0.13, 0.13, 0.22)
#: The largest side of an object's box in the cube, in voxels at least and in sides of the cube at most.
_SMALLEST_EXTENT, _LARGEST_EXTENT = 12.0, 1.25
#: The grid is never finer than this share of a scan's finest spacing.
_FINEST = 0.5


class Sampler:
    """Draws samples from scans and from nothing.

    Parameters
    ----------
    cases : sequence of Case
        The scans.
    size : int
        Voxels along a side of the cube.
    seed : int
        Equal seeds draw equal samples.
    """

    def __init__(self, cases: Sequence[Case], size: int, seed: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._drawn = [case for case in cases if case.is_drawn]
        self._regions = [case for case in cases if not case.is_drawn]
        # A scan with many objects is shown more often than one with a single object, but not in proportion.
        weights = np.array([len(case.boxes) ** 0.5 for case in self._drawn])
        self._drawn_weights = weights / weights.sum()
        self._sizes = {
            id(case): np.array([np.prod([e.stop - e.start for e in box]) ** 0.4 for _, box in case.boxes])
            for case in cases
        }

    def draw(self) -> list[Sample]:
        """Return one or more samples of one scene: the picture scaled to about -1..1, the object."""
        rng = self._rng
        kind = _KINDS[int(rng.choice(len(_KINDS), p=_SHARES))]
        if kind == "shapes":
            return self._shapes()
        if kind == "drawn" or (kind == "recolored" and rng.random() < 0.5):
            case = self._drawn[int(rng.choice(len(self._drawn), p=self._drawn_weights))]
        else:
            case = self._regions[int(rng.integers(len(self._regions)))]
        image, labels, value = self._cube(case)
        target = labels == value
        if not case.is_drawn and kind == "regions" and not _stands_out(image, target):
            return []
        if kind == "lesion":
            image, target = self._lesion(image)
        elif kind == "recolored":
            image = paint(rng, _renumbered(rng, labels, value))
        if rng.random() < 0.35:
            image, target = self._bent(image, target)
        if kind != "recolored":
            image = self._varied(image, target)
        return [] if target.sum() < 25 else [(wide_channel(image)[0], target)]

    def _shapes(self) -> list[Sample]:
        labels, drawn = draw_labels(self._rng, self._size)
        image = wide_channel(paint(self._rng, labels))[0]
        chosen = self._rng.permutation(drawn)[:2]
        return [(image, labels == value) for value in chosen]

    def _cube(self, case: Case) -> tuple[Array, npt.NDArray[np.uint16], int]:
        """Return the picture, the map and the chosen object on a grid around it."""
        rng, size = self._rng, self._size
        weights = self._sizes[id(case)]
        if case.is_drawn:
            value, box = case.boxes[int(rng.integers(len(case.boxes)))]
        else:
            value, box = case.boxes[int(rng.choice(len(case.boxes), p=weights / weights.sum()))]
        extent = max((e.stop - e.start) * s for e, s in zip(box, case.geometry.spacing, strict=True))
        wanted = np.exp(rng.uniform(np.log(_SMALLEST_EXTENT), np.log(_LARGEST_EXTENT * size)))
        finest = min(case.geometry.spacing)
        spacing = float(np.clip(extent / wanted, _FINEST * finest, 4 * max(finest, 1.0)))
        inside = np.argwhere(case.labels[box] == value)
        at = inside[int(rng.integers(len(inside)))] + [e.start for e in box]
        if rng.random() < 0.4:
            at = np.array([(e.start + e.stop - 1) / 2 for e in box])
        at = at + rng.normal(0, size / 16, 3) * spacing / np.asarray(case.geometry.spacing)
        grid = Grid(case.geometry, (float(at[0]), float(at[1]), float(at[2])), spacing, size)
        image = grid.sample(case.image)
        mask = grid.sample(case.labels == value) > 0.5
        labels = self._nearest(case, grid)
        labels[labels == value] = 0
        labels[mask] = value
        return image, labels, value

    def _nearest(self, case: Case, grid: Grid) -> npt.NDArray[np.uint16]:
        lines = [
            np.clip(np.rint(first + step * np.arange(grid.size)).astype(int), 0, count - 1)
            for first, step, count in zip(grid.first, grid.steps, case.labels.shape, strict=True)
        ]
        return case.labels[np.ix_(*lines)].copy()

    def _lesion(self, image: Array) -> Sample:
        """Return the picture with a lump in it that was not there: lesions, nodules, metastases."""
        rng, size = self._rng, self._size
        radius = float(np.exp(rng.uniform(np.log(4.5), np.log(size / 3))))
        middle = rng.normal(0, size / 8, 3)
        where = [a - np.float32(m) for a, m in zip(warped_coordinates(rng, size, 0.3 * radius), middle, strict=True)]
        turn = random_rotation(rng)
        squeeze = np.exp(rng.uniform(-0.4, 0.4, 3))
        turned = [sum(np.float32(turn[r, n] * squeeze[r]) * where[n] for n in range(3)) for r in range(3)]
        rough = smooth_field(rng, size, max(2, min(size // 2, int(2 * size / radius))))
        distance = np.sqrt(sum(np.asarray(x) ** 2 for x in turned)) / (1 + rng.uniform(0, 0.4) * rough)
        target = np.asarray(distance < radius)
        low, high = np.percentile(image[::2, ::2, ::2], (1, 99))
        extent = float(high - low) or 1.0
        around = float(np.median(image[target])) if target.any() else float(low)
        value = around + rng.choice([-1.0, 1.0]) * extent * rng.uniform(0.08, 0.5)
        edge = rng.uniform(0.3, 1.5)
        share = np.clip((radius - distance) / edge + 0.5, 0, 1) * rng.uniform(0.75, 1.0)
        texture = 0.1 * extent * rng.random() ** 2 * smooth_field(rng, size, size // 4)
        mixed = image * (1 - share) + (value + texture + 0.3 * (image - around)) * share
        if rng.random() < 0.2 and radius > 6:  # a dark middle
            mixed = np.where(distance < radius * rng.uniform(0.3, 0.6), mixed - 0.2 * extent, mixed)
        return np.asarray(mixed, np.float32), target

    def _bent(self, image: Array, target: Mask) -> Sample:
        rng, size = self._rng, self._size
        where = np.stack(warped_coordinates(rng, size, rng.uniform(1, size / 16))) + (size - 1) / 2
        turn = random_rotation(rng) if rng.random() < 0.5 else np.eye(3)
        middle = (size - 1) / 2
        where = np.tensordot(turn, where - middle, axes=1) + middle
        bent = ndimage.map_coordinates(image, where, order=1, mode="nearest")
        mask = ndimage.map_coordinates(target.astype(np.float32), where, order=1, mode="constant") > 0.5
        return bent, mask

    def _varied(self, image: Array, target: Mask) -> Array:
        """Return the picture as another scanner, window or contrast would have shown it."""
        rng = self._rng
        low, high = (float(v) for v in np.percentile(image[::2, ::2, ::2], (0.5, 99.5)))
        extent = high - low or 1.0
        if rng.random() < 0.3 and target.any():  # a window around the object
            middle = float(np.median(image[target])) + rng.normal(0, 0.1) * extent
            half = extent * rng.uniform(0.12, 0.6)
            image = np.clip(image, middle - half, middle + half)
        if rng.random() < 0.3:
            share = np.clip((image - low) / extent, 0, 1)
            image = np.asarray(share ** np.float32(np.exp(rng.uniform(-0.6, 0.6))), np.float32)
        if rng.random() < 0.12:
            image = -image
        if rng.random() < 0.2:  # thick slices
            sigma = [0.0, 0.0, 0.0]
            sigma[int(rng.integers(3))] = rng.uniform(0.6, 2.0)
            image = ndimage.gaussian_filter(image, sigma)
        return spoil(rng, image) if rng.random() < 0.4 else np.asarray(image, np.float32)


def _stands_out(image: Array, target: Mask) -> bool:
    """Return whether a region differs from what surrounds it, so that its outline can be seen at all."""
    shell = ndimage.binary_dilation(target, iterations=3) & ~target
    if not shell.any() or not target.any():
        return False
    inside, outside = image[target], image[shell]
    difference = abs(float(np.median(inside)) - float(np.median(outside)))
    spread = max(float(inside.std()), 0.03 * float(np.ptp(image)))
    return difference > 0.7 * spread


def _renumbered(rng: np.random.Generator, labels: npt.NDArray[np.uint16], value: int) -> npt.NDArray[np.uint16]:
    """Return a map with few numbers: the object keeps one of its own, the rest share some at random."""
    names = rng.integers(2, 40, int(labels.max()) + 1).astype(np.uint16)
    names[0] = 0
    names[value] = 1
    return names[labels]


def crop_around(rng: np.random.Generator, sample: Sample, size: int) -> Sample:
    """Return a random part of a sample with some of the object in it, turned and mirrored at random."""
    image, target = sample
    if image.shape[0] > size:
        inside = np.argwhere(target)
        at = inside[int(rng.integers(len(inside)))] if rng.random() < 0.6 else inside.mean(0)
        start = np.clip(np.rint(at - size / 2 + rng.normal(0, size / 10, 3)), 0, image.shape[0] - size).astype(int)
        box = tuple(slice(int(s), int(s) + size) for s in start)
        image, target = image[box], target[box]
    order = rng.permutation(3)
    image, target = image.transpose(order), target.transpose(order)
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    return np.asarray(image[flips], np.float32), np.asarray(target[flips])


class Play:
    """One object being segmented: the channels the network sees, from click to click.

    Parameters
    ----------
    sample : tuple of array
        Picture and object.
    rng : numpy.random.Generator
        Where the clicks fall.
    """

    def __init__(self, sample: Sample, rng: np.random.Generator) -> None:
        self._rng = rng
        image, self.target = sample
        wide, self._extent = wide_channel(image)
        self._image = image
        self._volume = Volume(image, Geometry(image.shape, np.eye(4)))
        self._region = RegionEngine(limits=PROPOSING)
        self._prompts: list[Prompt] = []
        self.channels = np.zeros((CHANNELS, *image.shape), np.float32)
        self.channels[0] = wide
        if rng.random() < 0.12:  # a mask that something else made, to be put right
            self.channels[2] = self._wrong_mask()
            self._say(self.channels[2] > 0.5)
        else:
            self._first()
        self._propose()

    def step(self, answer: Mask) -> None:
        """Take the network's answer, and click where it is wrong."""
        self.channels[2] = answer
        self._say(answer)
        self._propose()

    def _propose(self) -> None:
        """Ask the region engine what it makes of the newest prompt; the network is to put that right."""
        current = self.channels[2] > 0.5
        proposal = current.copy()
        if self._prompts and (current.any() or any(prompt.positive for prompt in self._prompts)):
            update = self._region.predict(EngineRequest(self._volume, tuple(self._prompts), current), Monitor(1))
            proposal[update.box] = update.mask
        self.channels[6] = proposal

    def _add_prompt(self, prompt: Prompt) -> None:
        self._prompts.append(prompt)

    def _position(self, at: Sequence[float] | npt.NDArray) -> tuple[float, float, float]:
        x, y, z = self._volume.geometry.to_world(at)
        return float(x), float(y), float(z)

    def _first(self) -> None:
        chance = self._rng.random()
        if chance < 0.75 or not self.target.any():
            self._click(self.target, positive=True)
        else:
            self._area(("box", "lasso", "scribble")[int(self._rng.integers(3))])

    def _say(self, answer: Mask) -> None:
        missed, extra = self.target & ~answer, answer & ~self.target
        if not missed.any() and not extra.any():
            self._click(self.target, positive=True)
        elif self._mass(missed) >= self._mass(extra):
            if self._rng.random() < 0.1:
                self._scribble(missed, positive=True)
            else:
                self._click(missed, positive=True)
        elif self._rng.random() < 0.1:
            self._scribble(extra, positive=False)
        else:
            self._click(extra, positive=False)

    def _mass(self, error: Mask) -> float:
        if not error.any():
            return 0.0
        return float(ndimage.uniform_filter(error.astype(np.float32), 7, mode="constant").max())

    def _place(self, area: Mask) -> tuple[int, int, int]:
        """Return a voxel deep in an area, not always the deepest."""
        rng = self._rng
        if rng.random() < 0.15:
            inside = np.flatnonzero(area)
            k, j, i = np.unravel_index(int(inside[int(rng.integers(len(inside)))]), area.shape)
            return int(k), int(j), int(i)
        depth = ndimage.uniform_filter(area.astype(np.float32), int(rng.choice([3, 5, 9, 13])), mode="constant")
        depth = depth + rng.random(area.shape, np.float32) * np.float32(0.02)
        k, j, i = np.unravel_index(int(np.argmax(np.where(area, depth, -1))), area.shape)
        return int(k), int(j), int(i)

    def _click(self, area: Mask, *, positive: bool) -> None:
        if area.any():
            at = self._place(area)
            mark(self.channels[3 if positive else 4], at)
            self._add_prompt(Prompt.point(self._position(at), positive=positive))
        self._near()

    def _scribble(self, area: Mask, *, positive: bool) -> None:
        """Draw a line through some of an area, in one plane."""
        k, j, i = self._place(area)
        axis = int(self._rng.integers(3))
        plane = [slice(None)] * 3
        plane[axis] = slice((k, j, i)[axis], (k, j, i)[axis] + 1)
        inside = np.argwhere(area[tuple(plane)])
        channel = self.channels[3 if positive else 4]
        start = np.array([k, j, i])
        line = [self._position(start)]
        start_local = start.copy()
        start_local[axis] = 0
        ends = inside[self._rng.integers(len(inside), size=2)]
        for a, b in ((start_local, ends[0]), (ends[0], ends[1])):
            for share in np.linspace(0, 1, int(np.abs(a - b).max()) + 2):
                at = np.rint(a + share * (b - a)).astype(int)
                at[axis] = start[axis]
                if area[tuple(at)]:
                    mark(channel, (int(at[0]), int(at[1]), int(at[2])))
                    line.append(self._position(at))
        self._add_prompt(Prompt.scribble(line, positive=positive))
        self._near()

    def _area(self, kind: str) -> None:
        """Draw a box or an outline around the object in the plane where a click would have fallen."""
        if kind == "scribble":
            self._scribble(self.target, positive=True)
            return
        at = self._place(self.target)
        axis = int(self._rng.integers(3))
        plane: list[slice | int] = [slice(None)] * 3
        plane[axis] = at[axis]
        section = self.target[tuple(plane)]
        if kind == "box":
            where = np.argwhere(section)
            low, high = where.min(0), where.max(0) + 1
            slack = 0.1 * (high - low) + 0.5
            low = np.maximum(0, np.rint(low + self._rng.normal(0, 1, 2) * slack - 0.5 * slack)).astype(int)
            high = np.rint(high + self._rng.normal(0, 1, 2) * slack + 0.5 * slack).astype(int)
            drawn = np.zeros_like(section)
            high = np.maximum(high, low + 1)
            drawn[low[0] : high[0], low[1] : high[1]] = True
            flat = (low, (high[0] - 1, low[1]), (low[0], high[1] - 1))
            corners = [np.insert(np.array(corner, float), axis, at[axis]) for corner in flat]
            self._add_prompt(Prompt.box(*(self._position(corner) for corner in corners)))
        else:
            drawn = ndimage.binary_dilation(section, iterations=int(self._rng.integers(1, 4)))
        self.channels[5][tuple(plane)] = drawn
        if kind == "lasso":
            core = np.zeros_like(self.target)
            core[tuple(plane)] = drawn
            inner = inner_core(core)
            self.channels[3][inner] = 1
            self._add_prompt(Prompt.scribble([self._position(place) for place in np.argwhere(inner)]))
        self._near()

    def _wrong_mask(self) -> Mask:
        """Return the object with faults: parts gone, parts too much, or another size."""
        rng = self._rng
        field = smooth_field(rng, self.target.shape[0], int(rng.integers(4, 12)))
        grown = ndimage.binary_dilation(self.target, iterations=int(rng.integers(1, 5)))
        shrunk = ndimage.binary_erosion(self.target, iterations=int(rng.integers(1, 4)))
        return np.asarray(np.where(field > rng.uniform(-0.3, 0.3), grown, shrunk))

    def _near(self) -> None:
        """Scale the second channel by what is under the positive prompts (or in the mask, where there is none)."""
        positive = self.channels[3]
        if not positive.any():
            positive = self.channels[5] if self.channels[5].any() else self.channels[2]
        self.channels[1] = near_channel(self._image, self._extent, positive)
