"""Where `few-clicks` looks, and what it has seen: cubes, each over the ones before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.anew import likelier
from napari_radcnn.interactive.engines.few_clicks.channels import Board, value_at
from napari_radcnn.interactive.engines.few_clicks.guesses import CLOSER, SIDES, Choice, Guess, agreements, traits
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.few_clicks.network import FIRST_SIZE, SIZE_BINS, SIZE_STEP
from napari_radcnn.interactive.engines.few_clicks.scan import Scan
from napari_radcnn.interactive.engines.lattice import Array, Floats, Lattice, Mask, carried, thinned
from napari_radcnn.interactive.update import box_of

#: Voxels along a side of what the network sees at once.
SIZE = 40
#: The object's largest side as a share of the cube's, once it is known; mm between voxels, at most, and in the scan's
#: finest spacing, at least.
_SHARE, _COARSEST, _FINEST = 0.62, 10.0, 0.5
#: Logits of what was not looked at: of a first look; outside and inside of the object as it was.
NOTHING, _OFF, _ON = -6.0, -3.9, 2.9
#: Logits of marks, at least, and of pieces that no mark vouches for.
_MARKED, _UNVOUCHED = 1.0, -2.0
#: A correction is looked at closer where the whole object is seen so many times as coarsely as the scan is sampled;
#: the close look fades out over so many voxels at the cube's faces.
_CLOSER, _RIM = 1.3, 3
#: Cubes beyond this many voxels around a mark do not show it.
_BESIDE = 3.0
#: Voxels of cubes are no finer than this, in the scan's finest spacing, where a size is guessed.
_TOO_FINE = 0.4

#: Gives the network's logits of the object ``(n, n, n)`` and of its size for the channels of a cube.
Ask = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Look:
    """What the network said of a cube, and how much it counts in every voxel; None where it counts everywhere."""

    lattice: Lattice
    logits: Array
    weights: Array | None = None


class Looks:
    """One request.

    Parameters
    ----------
    ask : callable
        The network.
    scan : Scan
        The scan.
    marks : Marks
        All that was pointed at.
    current : (k, j, i) array of bool
        The object as it was, on the scan's grid.
    proposal : (k, j, i) array of bool
        What another engine makes of the first prompt, on the same grid.
    is_known : bool
        Whether the proposal is as large as the object.
    choice : Choice, optional
        What chooses between sizes; without it the most likely one is taken.
    """

    def __init__(
        self,
        ask: Ask,
        scan: Scan,
        marks: Marks,
        current: Mask,
        proposal: Mask,
        *,
        is_known: bool = False,
        choice: Choice | None = None,
    ) -> None:
        self._choice = choice
        self._known = box_of(proposal) if is_known else None
        self._ask, self._scan, self._marks = ask, scan, marks
        self._current, self._proposal = current, proposal
        self._box = box_of(current)
        self._looks: list[Look] = []
        first = marks.first
        assert first is not None
        self._first = first
        self._extent = 0.0
        close = Lattice.cube(scan.volume.geometry, first, 1.5 * float(scan.spacing.min()), 8)
        self._value = value_at(scan.on(close), close.index(first))

    def take(self) -> None:
        """Look at the object, and at what is being corrected."""
        if self._box is None:
            self._begin()
        else:
            self._correct()

    def on(self, lattice: Lattice) -> Array:
        """Return the logits of all that was seen, on a grid."""
        if self._box is None:
            total = np.full(lattice.shape, NOTHING, np.float32)
        else:
            total = np.float32(_OFF) + np.float32(_ON - _OFF) * thinned(self._current, lattice)
        for look in self._looks:
            seen = carried(look.logits, look.lattice, lattice, outside=np.nan)
            weights = np.isfinite(seen).astype(np.float32)
            if look.weights is not None:
                weights *= carried(look.weights, look.lattice, lattice, outside=0.0)
            total += weights * (np.nan_to_num(seen) - total)
        return total

    def vouched(self, lattice: Lattice) -> Array:
        """Return the same, with marks as they say, and without pieces that hold no positive mark."""
        logits = self.on(lattice)
        positive = tuple(lattice.voxels(self._marks.positive()).T)
        negative = tuple(lattice.voxels(self._marks.negative()).T)
        logits[positive] = np.maximum(logits[positive], _MARKED)
        logits[negative] = np.minimum(logits[negative], -_MARKED)
        if len(positive[0]):
            pieces, _ = ndimage.label(logits > 0)
            kept = np.unique(pieces[positive])
            logits[(pieces > 0) & ~np.isin(pieces, kept[kept > 0])] = _UNVOUCHED
        return logits

    def extent(self) -> tuple[Floats, Floats]:
        """Return where the object as it is seen now, marks included, begins in the scan, and the index past its end."""
        places = [self._marks.positive()]
        if self._marks.box is not None:
            places += [self._marks.box[:1], self._marks.box[1:] - 1]
        if self._looks:
            lattice = max((look.lattice for look in self._looks), key=lambda lattice: lattice.steps)
            where = np.argwhere(self.vouched(lattice) > 0)
            if len(where):
                half = np.asarray(lattice.steps) / 2 - 0.5
                places += [lattice.back(where.min(0)[None]) - half, lattice.back(where.max(0)[None]) + half]
        if self._box is not None:
            places.append(np.array([[e.start for e in self._box], [e.stop - 1 for e in self._box]], float))
        all_of_them = np.concatenate(places)
        top = np.asarray(self._scan.shape, float)
        return np.clip(all_of_them.min(0), 0, top - 1), np.clip(all_of_them.max(0) + 1, 1, top)

    def _begin(self) -> None:
        middle: npt.ArrayLike = self._first
        if self._marks.box is not None:
            low, high = self._marks.box
            middle, self._extent = (low + high - 1) / 2, self._largest(low, high)
        elif self._known is not None:
            low, high = (np.array([getattr(e, end) for e in self._known], float) for end in ("start", "stop"))
            middle, self._extent = (low + high - 1) / 2, self._largest(low, high)
        elif self._choice is not None and self._guess():
            return
        else:
            self._extent = self._likely_extent()
        self._look(middle, self._zoom(self._extent))
        low, high = self.extent()
        self._extent = self._largest(low, high)
        self._look((low + high - 1) / 2, self._zoom(self._extent))

    def _correct(self) -> None:
        low, high = self.extent()
        self._extent = self._largest(low, high)
        zoom = self._zoom(self._extent)
        self._look((low + high - 1) / 2, zoom)
        finest = float(self._scan.spacing.min())
        if zoom > _CLOSER * finest and self._marks.all:
            self._look(self._marks.all[-1].middle, max(finest, zoom / 2), rim=_RIM)

    def _largest(self, low: Floats, high: Floats) -> float:
        """Return the largest side of a box, mm."""
        return float(((high - low) * self._scan.spacing).max())

    def _zoom(self, extent: float) -> float:
        return float(np.clip(extent / (_SHARE * SIZE), _FINEST * self._scan.spacing.min(), _COARSEST))

    def take_anew(self, after: Mask) -> bool:
        """Look as if nothing had been seen, and say whether what is likely then is something else than an object.

        Parameters
        ----------
        after : (k, j, i) array of bool
            The object, on the scan's grid.
        """
        assert self._choice is not None
        found = self.guesses()
        likely = likelier(found, self._scores(found), after) if found else None
        if likely is not None:
            self._settle(likely[0])
        return likely is not None

    def _guess(self) -> bool:
        """Look with the size that `guesses` prefers, and say whether there was one."""
        found = self.guesses()
        if found:
            self._settle(found[int(self._scores(found).argmax())][0])
        return bool(found)

    def _scores(self, found: Sequence[tuple[Guess, Lattice, Array]]) -> Array:
        assert self._choice is not None
        return self._choice.scores(np.stack([row for _, _, row in found]))

    def _settle(self, guess: Guess) -> None:
        """Look with the size of an answer."""
        self._extent = guess.side
        self._look(self._first, guess.zoom)
        if guess.closer == 1:
            low, high = self.extent()
            self._look((low + high - 1) / 2, guess.zoom)

    def guesses(self) -> list[tuple[Guess, Lattice, Array]]:
        """Return what the network says of what was clicked for each of several sizes, and how that lies in the scan.

        Empty answers, and those where all values are alike, are left out.
        """
        sides, likelihoods = self._size_likelihoods()
        found: list[tuple[Guess, Lattice, Array]] = []
        for side in SIDES:
            for closer in CLOSER:
                zoom = self._zoom(side) / closer
                if zoom < _TOO_FINE * self._scan.spacing.min():
                    continue
                self._looks, self._extent = [], side
                self._look(self._first, zoom)
                lattice = self._looks[0].lattice
                guess = Guess(side, zoom, closer, self.vouched(lattice))
                likelihood = float(np.interp(np.log2(side), sides, likelihoods))
                picture, proposal = self._scan.on(lattice), thinned(self._proposal, lattice)
                row = traits(guess, picture, self._value, proposal, likelihood, lattice.index(self._first))
                if row is not None:
                    found.append((guess, lattice, row))
        self._looks = []
        shared = agreements([guess for guess, _, _ in found], [lattice for _, lattice, _ in found])
        return [
            (guess, lattice, np.append(row, more)) for (guess, lattice, row), more in zip(found, shared, strict=True)
        ]

    def _likely_extent(self) -> float:
        """Return the likely largest side of what was pointed at, mm, as cubes of several zooms agree on it."""
        sides, likelihoods = self._size_likelihoods()
        share = np.exp(likelihoods)
        return float(2.0 ** ((share * sides).sum() / share.sum()))

    def _size_likelihoods(self) -> tuple[Floats, Floats]:
        """Return sizes, octaves of mm, and the logarithm of how likely each is, at most 0."""
        self._extent = 0.0
        finest = float(self._scan.spacing.min())
        zooms = [zoom for zoom in finest * 2.0 ** np.arange(-1, 5) if zoom <= _COARSEST] or [finest]
        sides = np.arange(0, 9.01, 0.125)  # octaves of mm
        bins = FIRST_SIZE + SIZE_STEP * np.arange(SIZE_BINS)
        total = np.zeros(len(sides))
        for zoom in zooms:
            _, logits = self._ask(self._board(Lattice.cube(self._scan.volume.geometry, self._first, zoom, SIZE), zoom))
            chance = np.exp(logits - logits.max())
            chance = 0.9 * chance / chance.sum() + 0.1 / SIZE_BINS
            total += np.interp(sides - np.log2(zoom * SIZE), bins, np.log(chance), np.log(0.02), np.log(0.02))
        return sides, (total - total.max()) / max(1.0, len(zooms) / 2)

    def _look(self, middle: npt.ArrayLike, zoom: float, rim: int = 0) -> None:
        lattice = Lattice.cube(self._scan.volume.geometry, middle, zoom, SIZE)
        logits, _ = self._ask(self._board(lattice, zoom))
        self._looks.append(Look(lattice, logits, _fade(rim) if rim else None))

    def _board(self, lattice: Lattice, zoom: float) -> Array:
        """Return the channels of a cube."""
        scan = self._scan
        inside = carried(np.ones((1, 1, 1)), _all_of(scan.shape), lattice, outside=0.0) > 0.5
        board = Board(scan.on(lattice), scan.low, scan.high, zoom, inside)
        board.tell_value(self._value)
        if self._marks.box is not None:
            low, high = lattice.index(self._marks.box - 0.5) + 0.5
            flat = high - low < 1  # at this zoom: still one voxel
            low = np.where(flat, np.rint((low + high - 1) / 2), low)
            board.box(low, np.where(flat, low + 1, high))
        for mark in self._marks.all:
            at = lattice.index(mark.at)
            at = at[((at > -_BESIDE) & (at < SIZE - 1 + _BESIDE)).all(1)]
            if len(at) == 1 and len(mark.at) == 1:
                board.click(at[0], positive=mark.positive)
            elif len(at):
                line = np.clip(np.rint(at), 0, SIZE - 1).astype(int)
                board.scribble(line, positive=mark.positive)
        board.tell_value(self._value)
        if self._extent:
            board.tell_size(self._extent / (zoom * SIZE), lattice.index(self._first))
        board.tell_proposal(thinned(self._proposal, lattice) > 0.5)
        board.tell_mask(1 / (1 + np.exp(-self.on(lattice))))
        return board.channels


def _all_of(shape: tuple[int, int, int]) -> Lattice:
    """Return one voxel as large as the scan."""
    k, j, i = shape
    return Lattice(((k - 1) / 2, (j - 1) / 2, (i - 1) / 2), (float(k), float(j), float(i)), (1, 1, 1))


def _fade(rim: int) -> Array:
    """Return weights of a cube that fall towards its faces."""
    line = np.clip((np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1]) + 0.5) / rim, 0, 1).astype(np.float32)
    return line[:, None, None] * line[None, :, None] * line[None, None, :]
