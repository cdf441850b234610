"""A user who knows the answer: where the next click goes, and how far a number of clicks leads.

Training and benchmarks of interactive engines share this user, so that their figures mean the same. The rule is the
one that the literature calls a robot user: each click goes to the most interior point of the largest error
(Sofiiuk et al. 2022, ICIP, Reviving iterative training with mask guidance for interactive segmentation).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import Engine, EngineRequest
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.update import Mask, box_of, joined
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

Index = tuple[int, int, int]

#: Distances that differ by less are equal, mm: rounding must not decide between points of the same depth.
_SAME_DEPTH = 1e-6


@dataclass(frozen=True)
class Click:
    """A voxel that the user points at.

    Parameters
    ----------
    index : tuple of int
        ``(k, j, i)``.
    positive : bool
        Whether the object was missed there; False where something else was taken for it.
    """

    index: Index
    positive: bool

    def prompt(self, geometry: Geometry, frame_of_reference_uid: str = "") -> Prompt:
        """Return the click as a point in the patient."""
        position = geometry.to_world(self.index)
        return Prompt.point(position, positive=self.positive, frame_of_reference_uid=frame_of_reference_uid)


@dataclass(frozen=True)
class Turn:
    """One click and what came of it.

    Parameters
    ----------
    click : Click
        Where it went.
    dice : float
        Overlap of the mask after it with the object, 0..1.
    seconds : float
        From the prompt to the mask.
    """

    click: Click
    dice: float
    seconds: float


class Player(Protocol):
    """Whoever answers prompts for one object: an engine, a session, a viewer."""

    def add(self, prompt: Prompt) -> None:
        """Take a prompt and bring the mask up to date; this is what is timed."""
        ...

    @property
    def mask(self) -> Mask:
        """The object as it is now, (k, j, i) on the whole grid; not written to."""
        ...


class EnginePlayer:
    """An engine that is asked directly, for one object.

    Parameters
    ----------
    engine : Engine
        Kept open.
    volume : Volume
        The scan.
    """

    def __init__(self, engine: Engine, volume: Volume) -> None:
        self._engine = engine
        self._volume = volume
        self._prompts: tuple[Prompt, ...] = ()
        self._mask = np.zeros(volume.geometry.shape, bool)

    def add(self, prompt: Prompt) -> None:
        """Ask the engine and put its answer into the mask."""
        seen = self._mask.view()
        seen.setflags(write=False)
        prompts = (*self._prompts, prompt)
        update = self._engine.predict(EngineRequest(self._volume, prompts, seen), Monitor(1))
        self._prompts = prompts
        self._mask[update.box] = update.mask

    @property
    def mask(self) -> Mask:
        """The object as it is now."""
        return self._mask


def next_click(
    truth: Mask, current: Mask, spacing: tuple[float, float, float], taken: Collection[Index] = ()
) -> Click | None:
    """Return where a user who knows the object clicks next; None where nothing is left to say.

    It is the most interior voxel of the largest error: of all pieces that were missed and all that are too much,
    connected by faces, the one with most voxels; in it the voxel farthest from the piece's outside, in mm. Beyond the
    border of the volume is outside. The lowest index, slice before row before column, decides where pieces are of one
    size or voxels of one depth. With an empty mask the first click is the most interior voxel of the whole object.

    Parameters
    ----------
    truth, current : (k, j, i) array of bool
        The object, and what has been reached of it.
    spacing : tuple of float
        mm along k, j, i. On a sheared grid depth is measured as if its axes were at right angles.
    taken : collection of (k, j, i)
        Voxels that were clicked before: none is clicked twice, even where an engine did not listen.

    Raises
    ------
    GeometryError
        If the masks differ in shape.
    """
    if truth.shape != current.shape or truth.ndim != 3:
        raise GeometryError(f"Two masks on one grid are needed, got shapes {truth.shape} and {current.shape}.")
    reached = box_of(current)
    box = joined(box_of(truth), reached)
    if box is None:
        return None
    start = np.array([extent.start for extent in box])
    free = np.ones([extent.stop - extent.start for extent in box], bool)
    for index in taken:
        at = np.asarray(index) - start
        if (at >= 0).all() and (at < free.shape).all():
            free[tuple(at)] = False
    inside = truth[box]
    if reached is None and not taken:
        pieces, order = inside.astype(np.int32), [1]
    else:
        pieces, order = _errors(inside, current[box])
    for number in order:
        found = _most_interior(pieces == number, free, spacing)
        if found is not None:
            k, j, i = (int(n) for n in start + found)
            return Click((k, j, i), bool(truth[k, j, i]))
    return None


def _errors(truth: Mask, current: Mask) -> tuple[npt.NDArray[np.int32], list[int]]:
    """Return the pieces of what is wrong, numbered from 1, and their numbers, the largest first."""
    from scipy import ndimage

    missed, n_missed = ndimage.label(truth & ~current)
    extra, _ = ndimage.label(current & ~truth)
    pieces = np.asarray(np.where(extra > 0, extra + n_missed, missed), np.int32)
    at = np.flatnonzero(pieces)
    numbers = pieces.ravel()[at]
    sizes = np.bincount(numbers, minlength=1)
    first = np.zeros(len(sizes), np.int64)
    first[numbers[::-1]] = at[::-1]  # of several values for one place the last is kept: the lowest index
    order = np.lexsort((first, -sizes))
    return pieces, [int(number) for number in order if sizes[number]]


def _most_interior(piece: Mask, free: Mask, spacing: tuple[float, float, float]) -> npt.NDArray[np.int64] | None:
    """Return the index of the free voxel of a piece that lies deepest in it; None where no voxel of it is free."""
    from scipy import ndimage

    box = box_of(piece)
    if box is None or not (piece[box] & free[box]).any():
        return None
    # The nearest voxel outside lies in the box or in a ring of one voxel round it.
    depth = ndimage.distance_transform_edt(np.pad(piece[box], 1), spacing)[1:-1, 1:-1, 1:-1]
    depth = np.where(free[box], depth, 0.0)
    lowest = int(np.argmax(depth >= depth.max() - _SAME_DEPTH))
    return np.array(np.unravel_index(lowest, depth.shape)) + [extent.start for extent in box]


def play(
    player: Player,
    truth: Mask,
    volume: Volume,
    *,
    clicks: int = 20,
    goal: float = 0.85,
    at_least: int = 10,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Turn, ...]:
    """Let the user click until the object is found.

    Parameters
    ----------
    player : Player
        Answers for one object that is empty so far.
    truth : (k, j, i) array of bool
        The object; not empty.
    volume : Volume
        The scan.
    clicks : int
        Never more than these.
    goal, at_least : float, int
        It ends with the first click that has both reached this Dice, at any click so far, and this number.
    clock : callable
        Seconds.

    Returns
    -------
    tuple of Turn
        Fewer than `at_least` only where the mask became the object to the voxel.

    Raises
    ------
    GeometryError
        If `truth` is not on the volume's grid, or empty.
    """
    if truth.shape != volume.geometry.shape or not truth.any():
        raise GeometryError(f"An object on a grid of {volume.geometry.shape} is needed, got one of {truth.shape}.")
    turns: list[Turn] = []
    while len(turns) < clicks:
        if len(turns) >= at_least and max(turn.dice for turn in turns) >= goal:
            break
        click = next_click(truth, player.mask, volume.geometry.spacing, [turn.click.index for turn in turns])
        if click is None:
            break
        prompt = click.prompt(volume.geometry, volume.metadata.frame_of_reference_uid)
        started = clock()
        player.add(prompt)
        seconds = clock() - started
        turns.append(Turn(click, dice(truth, player.mask), seconds))
    return tuple(turns)


def clicks_to(turns: tuple[Turn, ...], goal: float, cap: int = 20) -> int:
    """Return the number of clicks after which the Dice first was at least `goal`; `cap` where it never was."""
    return next((n for n, turn in enumerate(turns[:cap], 1) if turn.dice >= goal), cap)


def dice_after(turns: tuple[Turn, ...], n_clicks: int) -> float:
    """Return the Dice after a number of clicks; the last one where the game ended before, 0 without a click."""
    return turns[min(n_clicks, len(turns)) - 1].dice if turns and n_clicks > 0 else 0.0
