"""From slice to slice: the mask of one slice, as a box with a margin, is the prompt of the next.

Nothing here knows a network: `Outline` stands for whatever answers a box in a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_radcnn.progress import Monitor

#: Mask of one slice.
Flat = npt.NDArray[np.bool_]
#: Rows and columns of a slice: first row, first column, row and column after the last.
Rect = tuple[int, int, int, int]
#: Called as ``outline(index, rect)``; returns the object's mask of the whole slice.
Outline = Callable[[int, Rect], Flat]

#: A box grows by this part of its size, and by this many voxels at least, from one slice to the next.
MARGIN, LEAST_MARGIN = 0.1, 2
#: Neighboring slices whose masks agree less than this (Dice) do not show the same object.
LEAST_AGREEMENT = 0.5
#: A cut that leaves less than this part of a mask, or of a box, ends the object.
LEAST_LEFT, LEAST_BOX = 0.05, 0.25
#: Between two prompted slices, an object keeps to their boxes, grown by this part of their size.
BETWEEN_MARGIN = 0.25


@dataclass(frozen=True)
class Key:
    """A slice that the user prompted.

    Parameters
    ----------
    index : int
        Of the slice.
    rects : tuple of rect
        A box around each part of the object, in the order drawn.
    low, high : int
        First slice that may hold the object, and the one after the last.
    """

    index: int
    rects: tuple[Rect, ...]
    low: int
    high: int

    @property
    def is_flat(self) -> bool:
        """Whether it is about its own slice alone."""
        return self.high - self.low <= 1


@dataclass(frozen=True, eq=False)
class Cut:
    """What does not belong to the object, in one slice.

    Parameters
    ----------
    area : (rows, columns) array of bool
        The voxels.
    moves_box : bool
        Whether the box is drawn in to leave them out (a click, a scribble), or they alone are taken away (a lasso, a
        box).
    """

    area: Flat
    moves_box: bool


@dataclass(eq=False)
class Stack:
    """The object's mask, slice by slice; what is changed is kept beside what was.

    Parameters
    ----------
    before : (slices, rows, columns) array of bool
        Not written to.
    """

    before: npt.NDArray[np.bool_]
    changed: dict[int, Flat] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.before.shape[0])

    def __getitem__(self, index: int) -> Flat:
        return self.changed[index] if index in self.changed else self.before[index]

    def __setitem__(self, index: int, mask: Flat) -> None:
        self.changed[index] = mask

    def is_empty(self, index: int) -> bool:
        """Whether the object has no voxel in a slice."""
        return not self[index].any()

    def clear(self, index: int) -> None:
        """Take the object out of a slice."""
        self[index] = np.zeros(self.before.shape[1:], np.bool_)


class Propagation:
    """Puts the answers to a user's boxes into a stack of slices.

    Parameters
    ----------
    stack : Stack
        Is changed.
    outline : callable
        See `Outline`.
    keys : sequence of Key
        All prompted slices, in ascending order.
    cuts : mapping of int to sequence of Cut
        What does not belong to the object, by slice.
    bounds : rect
        What no mask leaves; within the slice.
    forbidden : (slices, rows, columns) array of bool or None
        Voxels of other objects, which are never taken.
    monitor : Monitor
        Told of each slice; stops between two.
    """

    def __init__(
        self,
        stack: Stack,
        outline: Outline,
        keys: Sequence[Key],
        cuts: Mapping[int, Sequence[Cut]],
        bounds: Rect,
        forbidden: npt.NDArray[np.bool_] | None,
        monitor: Monitor,
    ) -> None:
        self._stack, self._outline, self._keys, self._cuts = stack, outline, tuple(keys), cuts
        self._bounds, self._forbidden, self._monitor = bounds, forbidden, monitor
        self._done = 0

    def insert(self, key: Key) -> None:
        """Outline a prompted slice, and follow the object from there to both sides, if it may lie there."""
        mask = self._outlined(key.index, key.rects)
        self._stack[key.index] = mask
        if key.is_flat:  # what lies in other slices is not its own
            return
        for step in (-1, 1):
            self._follow(key.index, mask, step, (key.low, key.high))

    def cut(self, index: int) -> None:
        """Take what a new cut takes from a slice between prompted ones, and follow what is left away from them."""
        near = [key for key in self._keys if key.low <= index < key.high]
        if self._stack.is_empty(index) or not near:
            self._subtract(index)
            return
        nearest = min(near, key=lambda key: (abs(key.index - index), key.index))
        if nearest.index == index:
            self.insert(nearest)
            return
        step = 1 if index > nearest.index else -1
        before = self._stack[index]
        around = rect_of(before)
        if any(cut.moves_box for cut in self._cuts.get(index, ())) and around is not None:
            mask = self._outlined(index, (around,))
        else:
            mask = self._without_cuts(index, before)
        if mask.sum() < LEAST_LEFT * before.sum():
            self._stack.clear(index)
            self._clear_from(index + step, step)
            return
        self._stack[index] = mask
        self._follow(index, mask, step, (nearest.low, nearest.high))

    def _subtract(self, index: int) -> None:
        self._stack[index] = self._without_cuts(index, self._stack[index])

    def _follow(self, start: int, mask: Flat, step: int, within: tuple[int, int]) -> None:
        """Follow the object from a slice, up to the next prompted one, to where it ends or to the end of the stack.

        Slices nearer to the other prompted slice are its own: they are filled where they are empty, and kept otherwise.
        """
        other = self._next_key(start, step)
        last = (len(self._stack) if step > 0 else -1) if other is None else other.index
        for index in range(start + step, last, step):
            is_theirs = other is not None and abs(index - start) > abs(other.index - index)
            if is_theirs and not self._stack.is_empty(index):
                return
            found = None
            if within[0] <= index < within[1] and (around := rect_of(mask)) is not None:
                found = self._continued(index, mask, self._limited(grown(around), index, start, other))
            if found is None:
                self._clear_from(index, step)
                return
            self._stack[index] = mask = found

    def _continued(self, index: int, previous: Flat, rect: Rect | None) -> Flat | None:
        """Return the object in the next slice; None where it ends."""
        if rect is None:
            return None
        mask = self._outlined(index, (rect,))
        return mask if agreement(previous, mask) >= LEAST_AGREEMENT else None

    def _clear_from(self, start: int, step: int) -> None:
        """Take away what was followed beyond an end: the slices up to the first that is empty or prompted."""
        other = self._next_key(start - step, step)
        last = (len(self._stack) if step > 0 else -1) if other is None else other.index
        for index in range(start, last, step):
            if self._stack.is_empty(index):
                return
            self._stack.clear(index)

    def _next_key(self, start: int, step: int) -> Key | None:
        beyond = [key for key in self._keys if (key.index - start) * step > 0]
        return min(beyond, key=lambda key: abs(key.index - start), default=None)

    def _limited(self, rect: Rect, index: int, start: int, other: Key | None) -> Rect | None:
        """Return the part of a box that the boxes of the prompted slices on both sides leave."""
        here = next((key for key in self._keys if key.index == start), None)
        if other is None or here is None:
            return rect
        share = abs(index - start) / abs(other.index - start)
        first, second = (np.array(hull(key.rects), float) for key in (here, other))
        between = first + share * (second - first)
        sides = tuple(int(v) for v in (*np.floor(between[:2]), *np.ceil(between[2:])))
        return common(rect, grown((sides[0], sides[1], sides[2], sides[3]), BETWEEN_MARGIN))

    def _outlined(self, index: int, rects: Sequence[Rect]) -> Flat:
        """Return the answers to one or more boxes in a slice, without what was cut or belongs to others."""
        self._monitor.say(f"slice {index + 1}" + (f", {self._done} segmented" if self._done else ""))
        mask = np.zeros(self._stack.before.shape[1:], np.bool_)
        for rect in rects:
            kept = self._left_of(index, rect)
            if kept is not None:  # a network may answer beside the box, too
                top, left, bottom, right = common(grown(kept), self._bounds) or kept
                mask[top:bottom, left:right] |= self._outline(index, kept)[top:bottom, left:right]
        self._done += 1
        return self._without_cuts(index, mask)

    def _left_of(self, index: int, rect: Rect) -> Rect | None:
        """Return what the bounds and the clicks that say "not this" leave of a box; None where that is too little."""
        found = common(rect, self._bounds)
        for cut in self._cuts.get(index, ()):
            around = rect_of(cut.area) if cut.moves_box else None
            if found is not None and around is not None:
                found = beside(found, around)
        return found

    def _without_cuts(self, index: int, mask: Flat) -> Flat:
        left = mask.copy()
        for cut in self._cuts.get(index, ()):
            left &= ~cut.area
        if self._forbidden is not None:
            left &= ~self._forbidden[index]
        return left


def rect_of(mask: Flat) -> Rect | None:
    """Return the smallest box around a mask; None around nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def grown(rect: Rect, part: float = MARGIN) -> Rect:
    """Return a box with a margin on each side, which may leave the slice."""
    top, left, bottom, right = rect
    down = max(LEAST_MARGIN, round(part * (bottom - top)))
    across = max(LEAST_MARGIN, round(part * (right - left)))
    return top - down, left - across, bottom + down, right + across


def common(first: Rect, second: Rect) -> Rect | None:
    """Return what two boxes share; None for nothing."""
    top, left = max(first[0], second[0]), max(first[1], second[1])
    bottom, right = min(first[2], second[2]), min(first[3], second[3])
    return (top, left, bottom, right) if bottom > top and right > left else None


def hull(rects: Sequence[Rect]) -> Rect:
    """Return the smallest box around boxes."""
    top, left, bottom, right = zip(*rects, strict=True)
    return min(top), min(left), max(bottom), max(right)


def beside(rect: Rect, out: Rect) -> Rect | None:
    """Return the largest part of a box above, below, left or right of another; None where that is under a quarter."""
    if common(rect, out) is None:
        return rect
    top, left, bottom, right = rect
    parts = (
        (top, left, out[0], right),
        (out[2], left, bottom, right),
        (top, left, bottom, out[1]),
        (top, out[3], bottom, right),
    )
    largest = max(parts, key=_area)
    return largest if _area(largest) >= LEAST_BOX * _area(rect) else None


def agreement(first: Flat, second: Flat) -> float:
    """Return the Dice coefficient of two masks; 0 where the second is empty."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total and second.any() else 0.0


def _area(rect: Rect) -> int:
    return max(0, rect[2] - rect[0]) * max(0, rect[3] - rect[1])
