"""Games of clicks that go on from batch to batch: each answer of the network places the next prompt.

Iterative training with the previous mask (Sofiiuk et al. 2022, ICIP); that every answer, also the first ones, is
learned from, and that games are at different turns in one batch, makes a click cost nothing beside the network.
"""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.channels import Board
from napari_radcnn.interactive.engines.few_clicks.network import CHANNELS
from napari_radcnn.training.few_clicks.crops import Cache, Crop
from napari_radcnn.training.promptable.shapes import smooth_field

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Shares of what a game begins with: a box, a line, a mask that something else made; a click otherwise.
_BOX, _SCRIBBLE, _GIVEN = 0.33, 0.1, 0.08
#: The same for a mask where the object is larger than the cube: a border is looked at closely.
_GIVEN_CLOSE = 0.6
#: How often the size is told where the zoom was chosen by it, and where not.
_TOLD, _TOLD_ANYWAY = 0.65, 0.3
#: How often another engine's proposal is left out, and spoilt.
_NONE, _NOISY = 0.17, 0.33
#: Chance that a game ends after an answer, turns at most, and wrong voxels that are as good as none.
_END, _TURNS, _DONE = 0.36, 8, 6
#: How often a later prompt is a line.
_LINE = 0.1


class Game:
    """One object, from its first prompt on.

    Parameters
    ----------
    crop : Crop
        The object.
    channels : (c, n, n, n) array of float32
        Where the network's channels are written.
    rng : numpy.random.Generator
        Where prompts fall.
    """

    def __init__(self, crop: Crop, channels: Array, rng: np.random.Generator) -> None:
        self._rng, self._crop, self._size = rng, crop, crop.picture.shape[0]
        self.target, self.inside = crop.target, crop.inside
        self.turn = 1
        picture = _varied(rng, crop.picture)
        self._board = Board(picture, crop.low, crop.high, crop.zoom, crop.inside, channels)
        self.is_told = False
        self.extent = crop.extent / self._size
        self.kind = self._begin()

    def _begin(self) -> str:
        """Say the first thing, and return what it was."""
        rng = self._rng
        chance = rng.random()
        if chance < (_GIVEN if self._crop.extent < self._size else _GIVEN_CLOSE):
            mask = spoilt(rng, self.target)
            self._board.tell_mask(mask)
            if (mask > 0.5).any():
                self._board.tell_value(float(np.median(self._board.picture[mask > 0.5])))
            self._correct(mask > 0.5)
            return "given"
        chance = rng.random()
        if chance < _BOX:
            self._box()
            if rng.random() < 0.5:
                return "box"
        elif chance < _BOX + _SCRIBBLE:
            self._tell_size()
            self._line(self.target, self._crop.click, positive=True)
            return "scribble"
        self._tell_size()
        self._propose()
        self._board.click(self._crop.click + rng.normal(0, 0.3, 3), positive=True)
        return "click" if chance >= _BOX else "box"

    def _tell_size(self) -> None:
        """Tell about how large the object is, or do not."""
        rng = self._rng
        self.is_told = bool(rng.random() < (_TOLD if self._crop.is_fit else _TOLD_ANYWAY))
        if self.is_told:
            self._board.tell_size(self.extent * float(np.exp(rng.normal(0, 0.12))), self._crop.click)

    def _propose(self) -> None:
        chance = self._rng.random()
        if chance < _NONE:
            return
        proposal = self._crop.proposal
        self._board.tell_proposal(spoilt(self._rng, proposal) > 0.5 if chance < _NONE + _NOISY else proposal)

    def _box(self) -> None:
        """Draw a box around the object, or around its section in one plane, not too carefully."""
        rng = self._rng
        where = np.argwhere(self.target)
        low, high = where.min(0).astype(float), where.max(0) + 1.0
        if rng.random() < 0.3:
            axis, at = int(rng.integers(3)), self._crop.click
            section = where[where[:, axis] == at[axis]]
            low, high = section.min(0).astype(float), section.max(0) + 1.0
        slack = (0.05 * (high - low) + 0.5) * (high - low > 1)
        low = low + rng.normal(-0.3, 0.7, 3) * slack
        high = np.maximum(high + rng.normal(0.3, 0.7, 3) * slack, low + 1)
        self._board.box(low, high)

    def answer(self, probabilities: Array) -> bool:
        """Take the network's answer and say what is wrong with it; return whether the game goes on.

        Parameters
        ----------
        probabilities : (n, n, n) array of float32
            Of the object.
        """
        rng = self._rng
        mask = probabilities > 0.5
        wrong = int(np.count_nonzero((mask ^ self.target) & self.inside))
        if wrong < _DONE or self.turn >= _TURNS or rng.random() < _END:
            return False
        self.turn += 1
        self._board.tell_mask(probabilities if rng.random() < 0.7 else mask)
        self._correct(mask)
        return True

    def _correct(self, mask: Mask) -> None:
        """Put a prompt where a mask is wrong: deep in the largest error, most often."""
        rng = self._rng
        missed, extra = self.target & ~mask & self.inside, mask & ~self.target & self.inside
        width = int(rng.choice([3, 5, 7, 9]))
        depths = []
        for error in (missed, extra):
            depth = ndimage.uniform_filter(error.astype(np.float32), width, mode="constant")
            depths.append(np.where(error, depth + 1e-3 * rng.random(depth.shape, np.float32), 0))
        positive = bool(depths[0].max() >= depths[1].max())
        error, depth = (missed, depths[0]) if positive else (extra, depths[1])
        if not error.any():
            return
        flat = int(np.argmax(depth))
        if rng.random() < 0.12:
            flat = int(rng.choice(np.flatnonzero(error)))
        at = np.array(np.unravel_index(flat, error.shape))
        if rng.random() < _LINE:
            self._line(error, at, positive=positive)
        else:
            self._board.click(at, positive=positive)

    def _line(self, area: Mask, at: npt.NDArray, *, positive: bool) -> None:
        """Draw a line through an area, in one plane, from a voxel to one or two others."""
        rng = self._rng
        axis = int(rng.integers(3))
        section = np.argwhere(area)
        section = section[section[:, axis] == at[axis]]
        ends = section[rng.integers(len(section), size=int(rng.integers(1, 3)))] if len(section) else at[None]
        points = []
        for start, stop in zip([at, *ends[:-1]], ends, strict=True):
            steps = int(np.abs(stop - start).max()) + 1
            points += [np.rint(start + (stop - start) * share).astype(int) for share in np.linspace(0, 1, steps + 1)]
        line = np.array([point for point in points if area[tuple(point)]] or [at])
        self._board.scribble(line, positive=positive)


def _varied(rng: np.random.Generator, picture: Array) -> Array:
    """Return a picture with another contrast, noise, and a slow change of brightness, some of the time."""
    middle = np.float32(np.median(picture[::3, ::3, ::3]))
    if rng.random() < 0.5:
        picture = middle + (picture - middle) * np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.08:
        picture = 2 * middle - picture
    if rng.random() < 0.35:
        noise = rng.standard_normal(picture.shape, np.float32)
        picture = picture + noise * np.float32(40 * rng.random() ** 2)
    if rng.random() < 0.15:
        picture = picture + np.float32(rng.uniform(10, 80)) * smooth_field(rng, picture.shape[0], 2)
    return np.asarray(picture, np.float32)


def spoilt(rng: np.random.Generator, mask: Mask) -> Array:
    """Return a mask with faults: thicker or thinner in places, blurred, or with a part gone; values 0..1."""
    size = mask.shape[0]
    soft = ndimage.uniform_filter(mask.astype(np.float32), int(rng.choice([3, 5, 7])), mode="nearest")
    soft = soft + np.float32(rng.uniform(0.1, 0.5)) * smooth_field(rng, size, int(rng.integers(2, 9)))
    soft = soft - np.float32(rng.uniform(0.3, 0.7))
    if rng.random() < 0.3:  # cut through
        normal = rng.standard_normal(3)
        where = np.argwhere(mask)
        middle = where.mean(0) if len(where) else np.full(3, size / 2)
        line = np.arange(size)
        k, j, i = (n * (line - m) for n, m in zip(normal / np.linalg.norm(normal), middle, strict=True))
        side = k[:, None, None] + j[None, :, None] + i[None, None, :]
        soft = np.where(side > rng.normal(0, size / 8), -1, soft)
    if rng.random() < 0.5:
        return np.asarray(soft > 0, np.float32)
    return np.clip(0.5 + soft * np.float32(np.exp(rng.uniform(0, 2.5))), 0, 1).astype(np.float32)


class Games:
    """Many games at once.

    Parameters
    ----------
    cache : Cache
        The objects.
    size : int
        Voxels along a side.
    count : int
        Games.
    rng : numpy.random.Generator
        What decides.
    """

    def __init__(self, cache: Cache, size: int, count: int, rng: np.random.Generator) -> None:
        self._cache, self._rng = cache, rng
        self._channels = np.zeros((count, len(CHANNELS), size, size, size), np.float32)
        self._games = [self._new(slot) for slot in range(count)]
        self._chosen: list[int] = []
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=200))

    def _new(self, slot: int) -> Game:
        return Game(self._cache.take(self._rng), self._channels[slot], self._rng)

    def batch(self, count: int) -> tuple[Array, list[Game]]:
        """Return the channels of some games, and the games."""
        self._chosen = [int(n) for n in self._rng.choice(len(self._games), count, replace=False)]
        return self._channels[self._chosen], [self._games[n] for n in self._chosen]

    def answer(self, probabilities: Array) -> None:
        """Take the answers to the last batch."""
        for slot, answer in zip(self._chosen, probabilities, strict=True):
            game = self._games[slot]
            self._note(game, answer > 0.5)
            if not game.answer(answer):
                self._games[slot] = self._new(slot)

    def _note(self, game: Game, mask: Mask) -> None:
        both = int(np.count_nonzero(mask & game.target))
        size = int(np.count_nonzero(mask & game.inside)) + int(np.count_nonzero(game.target))
        dice = 2 * both / max(1, size)
        if game.turn == 1 and game.kind == "click":
            self._seen["told" if game.is_told else "untold"].append(dice)
        elif game.turn == 1:
            self._seen[game.kind].append(dice)
        elif game.kind == "click" and game.turn in (3, 5):
            self._seen[f"turn_{game.turn}"].append(dice)

    def figures(self) -> dict[str, float]:
        """Return mean Dice coefficients of recent answers, by what was said."""
        kinds = ("told", "untold", "box", "scribble", "given", "turn_3", "turn_5")
        return {kind: float(np.mean(self._seen[kind])) if self._seen[kind] else float("nan") for kind in kinds}
